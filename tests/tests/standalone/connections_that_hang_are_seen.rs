//! A connection that hangs is seen in the Monitor before it times out: where it hangs, since when, and what has gone over it; and octets
//! alone are no news.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use mailsluice_crds::monitor::{Connection, Stage};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    wait,
};

/// What a slow host says, up to the text.
const GREETING: &str = "220 slow\r\n";
const REPLIES: [&str; 4] = ["250-slow\r\n250 8BITMIME", "250 ok", "250 ok", "354 go on"];

/// A host that takes connections and does this with each.
fn host(serve: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

fn connection(relay: &Relay, host: SocketAddr, stage: Stage) -> Connection {
    wait::until_some(PATIENCE, &format!("a connection in {stage:?}"), || {
        relay.row(&host.to_string())?.connections.into_iter().find(|connection| connection.stage == stage)
    })
}

/// What a stream of the Monitor says within so long.
fn stream(relay: &Relay, time: Duration) -> String {
    let mut stream = TcpStream::connect(relay.http).expect("connect");
    stream.set_read_timeout(Some(time)).expect("a time limit");
    write!(stream, "GET /monitor/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("ask");
    let (mut said, mut octets) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut octets) {
        said.extend_from_slice(&octets[..count]);
    }
    String::from_utf8(said).expect("text")
}

#[test]
fn a_host_that_says_nothing_is_seen_to_do_so_in_its_stage() {
    let silent = host(|mut stream| stream.read(&mut [0]).map(drop));
    let relay = Relay::start(&Manifest::to(silent));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("waits"));
    let seen = connection(&relay, silent, Stage::Banner);
    assert_eq!((seen.peer, seen.last_reply), (silent.to_string(), None));
    let octets = seen.octets.expect("counts");
    assert_eq!((octets.sent, octets.received), (0, 0));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(connection(&relay, silent, Stage::Banner).since, seen.since, "since the same moment");
}

#[test]
fn a_host_that_reads_slowly_is_seen_by_its_octets_and_they_are_no_news() {
    let slow = host(|mut stream| {
        stream.write_all(GREETING.as_bytes())?;
        let mut octets = [0; 512];
        for reply in REPLIES {
            let _ = stream.read(&mut octets)?;
            stream.write_all(format!("{reply}\r\n").as_bytes())?;
        }
        while stream.read(&mut octets)? > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let relay = Relay::start(&Manifest::to(slow));
    let text = mail::text_of_size("large", 40 << 20);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &text);
    let first = connection(&relay, slow, Stage::Body);
    let sent = |connection: &Connection| connection.octets.expect("counts").sent;
    let said = stream(&relay, Duration::from_secs(2));
    // Who begins to listen may hear the same twice.
    let mut lines: Vec<&str> = said.lines().filter(|line| line.contains("\"stage\":\"Body\"")).collect();
    lines.dedup();
    assert_eq!(lines.len(), 1, "nothing else is said: {said}");
    assert!(!said.contains("octets"), "{said}");
    let later = wait::until_some(PATIENCE, "more octets", || {
        Some(connection(&relay, slow, Stage::Body)).filter(|later| sent(later) > sent(&first))
    });
    assert_eq!(later.since, first.since, "the stage is the same");
    let said = GREETING.len() + REPLIES.iter().map(|reply| reply.len() + "\r\n".len()).sum::<usize>();
    assert_eq!(later.octets.expect("counts").received, said as u64);
}
