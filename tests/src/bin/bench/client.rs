//! Our own source: where `smtp-source` cannot do it (TLS, an offered rate, many hosts). The same for every relay.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::tls;

/// How long a client waits for a reply.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long all clients together may take.
const LIMIT: Duration = Duration::from_secs(300);

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A connection that has said EHLO.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Duplex>>,
    /// Whether its handshake resumed a session.
    pub(crate) resumed: bool,
}

impl Client {
    /// Connects, and secures the connection by STARTTLS where that is wanted.
    ///
    /// # Errors
    /// When the server hangs up, or refuses.
    pub(crate) fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Client> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { stream: BufReader::new(Box::new(tcp.try_clone()?)), resumed: false };
        client.expect(220)?;
        client.say("EHLO bench.test\r\n", 250)?;
        if let Some(tls) = tls {
            client.say("STARTTLS\r\n", 220)?;
            let name = "bench.test".try_into().expect("a name");
            let mut connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut tcp)?;
            }
            client.resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
            client.stream = BufReader::new(Box::new(StreamOwned::new(connection, tcp)));
            client.say("EHLO bench.test\r\n", 250)?;
        }
        Ok(client)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(text)?;
        stream.flush()
    }

    fn expect(&mut self, code: u16) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                let right = line.get(..3) == Some(code.to_string().as_str());
                return if right { Ok(()) } else { Err(io::Error::other(line)) };
            }
        }
    }

    fn say(&mut self, command: &str, code: u16) -> io::Result<()> {
        self.write(command.as_bytes())?;
        self.expect(code)
    }

    /// One message, each command after the reply to the one before, as `smtp-source` does it.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) fn message(&mut self, recipient: &str, text: &[u8]) -> io::Result<()> {
        self.say("MAIL FROM:<a@example.org>\r\n", 250)?;
        self.say(&format!("RCPT TO:<{recipient}>\r\n"), 250)?;
        self.say("DATA\r\n", 354)?;
        self.write(text)?;
        self.expect(250)
    }

    /// Takes leave.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) fn quit(mut self) -> io::Result<()> {
        self.say("QUIT\r\n", 221)
    }

    /// One message, its commands in one write.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) fn pipelined(&mut self, recipient: &str, text: &[u8]) -> io::Result<()> {
        self.write(format!("MAIL FROM:<a@example.org>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n").as_bytes())?;
        self.expect(250)?;
        self.expect(250)?;
        self.expect(354)?;
        self.write(text)?;
        self.expect(250)
    }
}

/// A message of about so many octets, with its final dot.
pub(crate) fn text(octets: usize) -> Vec<u8> {
    let mut text = b"From: <a@example.org>\r\nTo: <b@one.test>\r\nSubject: measured\r\n\r\n".to_vec();
    while text.len() + 80 <= octets {
        text.extend_from_slice(&[b'X'; 78]);
        text.extend_from_slice(b"\r\n");
    }
    text.extend(std::iter::repeat_n(b'X', octets.saturating_sub(text.len() + 2)));
    text.extend_from_slice(b"\r\n.\r\n");
    text
}

/// Sends so many messages over kept connections as fast as they are taken.
pub(crate) fn flood(address: SocketAddr, sessions: u64, messages: u64, octets: usize, secure: bool) {
    let text = text(octets);
    let tls = secure.then(tls::client);
    spread(sessions, messages, |next| {
        let mut client = Client::connect(address, tls.as_ref()).expect("a connection");
        while next().is_some() {
            client.message("b@one.test", &text).expect("a message is taken");
        }
    });
}

/// Queues messages `from..to`, of 1 KiB, in turn for each of `hosts` domains below `parent`.
pub(crate) fn fill(address: SocketAddr, parent: &str, hosts: u64, (from, to): (u64, u64)) {
    let text = text(1024);
    spread(32, to - from, |next| {
        let mut client = Client::connect(address, None).expect("a connection");
        while let Some(number) = next() {
            let recipient = format!("b@h{}.{parent}", (from + number) % hosts);
            client.pipelined(&recipient, &text).expect("a message is taken");
        }
    });
}

/// Offers so many messages a second, for a time, over 50 kept connections. How long each took from the moment at which it was
/// due to its 250, in order of length: a relay that cannot keep up is late with all that follow.
pub(crate) fn offer(address: SocketAddr, rate: u64, time: Duration, octets: usize) -> Vec<Duration> {
    let text = text(octets);
    let total = rate * time.as_secs();
    let interval = Duration::from_secs(1) / u32::try_from(rate).expect("a rate");
    let begun = Instant::now() + Duration::from_millis(200);
    let end = begun + time * 2;
    let took = spread(50, total, |next| {
        let mut took = Vec::new();
        let mut client = Client::connect(address, None).expect("a connection");
        while let Some(number) = next() {
            let due = begun + interval * u32::try_from(number).expect("a count");
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if Instant::now() > end {
                break;
            }
            client.message("b@one.test", &text).expect("a message is taken");
            took.push(due.elapsed());
        }
        took
    });
    let mut took: Vec<Duration> = took.into_iter().flatten().collect();
    took.sort_unstable();
    took
}

/// So many threads, which between them get each number below `total` once.
pub(crate) fn spread<T: Send>(
    threads: u64,
    total: u64,
    work: impl Fn(&mut dyn FnMut() -> Option<u64>) -> T + Sync,
) -> Vec<T> {
    let next = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + LIMIT;
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let next = next.clone();
                scope.spawn(move || {
                    work(&mut || {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        assert!(Instant::now() < end, "{number} of {total} were begun in {LIMIT:?}");
                        Some(number).filter(|number| *number < total)
                    })
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a client ends")).collect()
    })
}
