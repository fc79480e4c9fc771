//! Where mail arrives, and how much of it has: Postfix's `smtp-sink`, and one of our own for TLS, which that has not.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{certificate::Certificate, process, wait};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::tls;

/// How long one round of one relay may take.
const LIMIT: Duration = Duration::from_secs(180);

/// How long its first messages may take.
const WARM_UP_LIMIT: Duration = Duration::from_secs(30);

/// How often the count is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// A sink that counts.
pub(crate) struct Sink {
    /// Where it takes mail.
    pub(crate) address: SocketAddr,
    count: Arc<AtomicU64>,
    first: Arc<OnceLock<Instant>>,
    _process: Option<process::Process>,
}

impl Sink {
    /// `smtp-sink` on a free port.
    pub(crate) fn start() -> Sink {
        Sink::start_at(SocketAddr::from(([127, 0, 0, 1], process::free_port())))
    }

    /// `smtp-sink` there.
    pub(crate) fn start_at(address: SocketAddr) -> Sink {
        let mut command = Command::new("/usr/sbin/smtp-sink");
        command.args(["-c", "-m", "2000", "-u", "nobody", &address.to_string(), "1000"]);
        let mut process = process::Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut output = process.output().expect("its output");
        let (count, first) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let (theirs, begun) = (count.clone(), first.clone());
        // It shows `sess=1 quit=0 mesg=17` over and over, each time in the place of the one before.
        thread::spawn(move || {
            let mut text = String::new();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                text.push_str(&String::from_utf8_lossy(&chunk[..length]));
                let (whole, rest) = text.rsplit_once('\r').unwrap_or(("", &text));
                if let Some((_, last)) = whole.rsplit_once("mesg=") {
                    let seen = last.trim().parse().unwrap_or(0);
                    if seen > 0 {
                        begun.get_or_init(Instant::now);
                    }
                    theirs.fetch_max(seen, Ordering::Relaxed);
                }
                text = rest.to_owned();
            }
        });
        let shown = if address.ip().is_unspecified() { ([127, 0, 0, 1], address.port()).into() } else { address };
        process::await_port(shown);
        Sink { address, count, first, _process: Some(process) }
    }

    /// One that takes mail under TLS only, by STARTTLS. It lives as long as this program.
    pub(crate) fn start_tls(certificate: &Certificate) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (count, first) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let (theirs, begun) = (count.clone(), first.clone());
        let config = tls::server(certificate);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, count, first) = (config.clone(), theirs.clone(), begun.clone());
                thread::spawn(move || {
                    // A client that goes away is no matter of ours.
                    let _ = serve(stream, config, &|| {
                        first.get_or_init(Instant::now);
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        });
        Sink { address, count, first, _process: None }
    }

    /// How many messages have arrived.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for so many; when the last of them was there.
    pub(crate) fn await_count(&self, count: u64) -> Instant {
        self.await_within(count, LIMIT)
    }

    /// Waits for the first ones, with which a relay that delivers nothing at all is soon found out.
    pub(crate) fn await_warm_up(&self, count: u64) {
        self.await_within(count, WARM_UP_LIMIT);
    }

    fn await_within(&self, count: u64, limit: Duration) -> Instant {
        let end = Instant::now() + limit;
        while self.count() < count {
            assert!(Instant::now() < end, "{} of {count} messages arrived in {limit:?}", self.count());
            thread::sleep(LOOK);
        }
        Instant::now()
    }

    /// When the first message was there.
    pub(crate) fn await_first(&self) -> Instant {
        wait::until_some(LIMIT, "a first message arrives", || self.first.get().copied())
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, counted: &dyn Fn()) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut plain = BufReader::new(stream);
    plain.get_mut().write_all(b"220 sink.test ESMTP\r\n")?;
    if !converse(&mut plain, false, counted)? {
        return Ok(());
    }
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut secured = BufReader::new(StreamOwned::new(connection, plain.into_inner()));
    converse(&mut secured, true, counted)?;
    Ok(())
}

/// Answers until the client leaves; true when it goes on under TLS.
fn converse<S: Read + Write>(stream: &mut BufReader<S>, secured: bool, counted: &dyn Fn()) -> io::Result<bool> {
    let mut line = Vec::new();
    let mut replies: Vec<u8> = Vec::new();
    loop {
        // Replies to a flight of commands go out together.
        if stream.buffer().is_empty() && !replies.is_empty() {
            stream.get_mut().write_all(&replies)?;
            stream.get_mut().flush()?;
            replies.clear();
        }
        line.clear();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let reply: &[u8] = match verb.as_slice() {
            b"EHLO" if secured => b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            b"EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n",
            b"STAR" if !secured => {
                replies.extend_from_slice(b"220 go on\r\n");
                stream.get_mut().write_all(&replies)?;
                return Ok(true);
            }
            b"QUIT" => {
                replies.extend_from_slice(b"221 bye\r\n");
                stream.get_mut().write_all(&replies)?;
                stream.get_mut().flush()?;
                return Ok(false);
            }
            b"MAIL" if !secured => b"530 STARTTLS first\r\n",
            b"DATA" => {
                replies.extend_from_slice(b"354 go on\r\n");
                stream.get_mut().write_all(&replies)?;
                stream.get_mut().flush()?;
                replies.clear();
                line.clear();
                while stream.read_until(b'\n', &mut line)? != 0 && line != b".\r\n" {
                    line.clear();
                }
                counted();
                b"250 taken\r\n"
            }
            _ => b"250 ok\r\n",
        };
        replies.extend_from_slice(reply);
    }
}
