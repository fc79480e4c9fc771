use std::{
    fs,
    sync::{Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

/// What was printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Running {
    address: SocketAddr,
    printed: Printed,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    async fn start(quiet: bool, keeper: Option<Keeper>) -> Running {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let printed = Printed::default();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(socket, keeper, quiet, printed.clone(), stopped));
        Running { address, printed, stop, task }
    }

    /// Says all of it at once, and gives what is answered until the sink closes.
    async fn say(&self, text: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        answers
    }

    async fn stop(self) -> String {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        String::from_utf8(self.printed.0.lock().unwrap().clone()).unwrap()
    }
}

fn message(text: &[u8]) -> Vec<u8> {
    let envelope =
        b"MAIL FROM:<a@a.example> BODY=8BITMIME\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<c@c.example>\r\nDATA\r\n";
    [envelope, text, b".\r\n"].concat()
}

fn session(texts: &[&[u8]]) -> Vec<u8> {
    let messages = texts.iter().flat_map(|text| message(text));
    b"EHLO client.example\r\n".iter().copied().chain(messages).chain(*b"QUIT\r\n").collect()
}

#[tokio::test]
async fn everything_is_accepted_and_has_its_line() {
    let sink = Running::start(false, None).await;
    let answers = sink.say(&session(&[b"Subject: one\r\n\r\nx\r\n", b"Subject: two\r\n\r\n"])).await;
    assert_eq!(answers.matches("\r\n250 2.0.0 ").count(), 2, "{answers}");
    assert!(answers.ends_with("221 2.0.0 Bye\r\n"), "{answers}");
    let lines = sink.stop().await;
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].ends_with(" from=<a@a.example> to=<b@b.example>,<c@c.example> size=19 subject=\"one\""),
        "{lines:?}"
    );
    assert!(lines[1].ends_with(" size=16 subject=\"two\""), "{lines:?}");
}

#[tokio::test]
async fn quiet_prints_totals_and_no_message() {
    let sink = Running::start(true, None).await;
    let text: &[u8] = b"Subject: one\r\n\r\nx\r\n";
    sink.say(&session(&[text; 3])).await;
    let printed = sink.stop().await;
    assert!(printed.lines().last().unwrap().contains(" 3 messages, 6 recipients, 57 octets in total"), "{printed}");
    assert!(!printed.contains("one"), "{printed}");
}

#[tokio::test]
async fn kept_messages_are_what_was_received_octet_for_octet() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("7.eml"), "of an earlier run").unwrap();
    let large = [b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcdef\r\n".repeat(100_000)].concat();
    let sink = Running::start(false, Some(Keeper::open(folder.path().into()).unwrap())).await;
    sink.say(&session(&[b"Subject: dots\r\n\r\n..\r\n...x\r\n\xfc\0\r\n", b"", &large])).await;
    sink.stop().await;

    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("7.eml"), b"of an earlier run");
    assert_eq!(read("8.eml"), b"Subject: dots\r\n\r\n.\r\n..x\r\n\xfc\0\r\n");
    assert_eq!(read("9.eml"), b"");
    assert!(read("10.eml") == large, "the large message is another");
    let mut envelope: serde_json::Value = serde_json::from_slice(&read("8.json")).unwrap();
    let object = envelope.as_object_mut().unwrap();
    assert!(object.remove("receivedAt").is_some() && object.remove("client").is_some());
    assert_eq!(
        envelope,
        serde_json::json!({
            "helo": "client.example",
            "sender": "a@a.example",
            "recipients": ["b@b.example", "c@c.example"],
            "size": 29,
            "eightBit": true,
        })
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 7, "nothing else is left behind");
}

#[tokio::test]
async fn a_message_that_never_ends_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Running::start(true, Some(Keeper::open(folder.path().into()).unwrap())).await;
    let mut stream = TcpStream::connect(sink.address).await.unwrap();
    let half = message(&b"0123456789abcdef\r\n".repeat(50_000));
    stream.write_all(b"EHLO c.example\r\n").await.unwrap();
    stream.write_all(half.strip_suffix(b".\r\n").unwrap()).await.unwrap();
    drop(stream);
    let printed = sink.stop().await;
    assert!(printed.contains(" 0 messages"), "{printed}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stop_says_so_to_clients_that_wait() {
    let sink = Running::start(true, None).await;
    let mut stream = TcpStream::connect(sink.address).await.unwrap();
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await.unwrap();
    sink.stop().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("\r\n421 4.3.2 "), "{rest}");
}

/// An output that nobody reads any more.
struct Closed;

impl io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_sink_ends_when_nobody_takes_its_lines() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(serve(socket, None, false, Closed, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&session(&[b"Subject: one\r\n\r\n"])).await.unwrap();
    let error = time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
