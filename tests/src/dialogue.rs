//! A client that sends exactly these octets, and shows exactly what comes back.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::certificate::Certificate;

/// What octets go through, in clear or under TLS.
trait Wire: Read + Write + fmt::Debug + Send {}

impl<T: Read + Write + fmt::Debug + Send> Wire for T {}

/// A session with a server.
#[derive(Debug)]
pub struct Dialogue {
    reader: BufReader<Box<dyn Wire>>,
    stream: TcpStream,
}

impl Dialogue {
    /// Connects, and says and takes nothing yet.
    ///
    /// # Errors
    /// When the server is not there.
    pub fn connect(address: SocketAddr) -> io::Result<Dialogue> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Dialogue { reader: BufReader::new(Box::new(stream.try_clone()?)), stream })
    }

    /// Makes a TLS handshake, trusting this certificate alone, and goes on under TLS.
    pub fn secure(&mut self, certificate: &Certificate) {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(certificate.chain.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "mail.test".try_into().expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client of TLS");
        let stream = self.stream.try_clone().expect("the same connection");
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        }
        self.reader = BufReader::new(Box::new(stream));
    }

    /// Connects, and takes the greeting.
    ///
    /// # Errors
    /// When the server is not there, or greets with anything but 220.
    pub fn try_open(address: SocketAddr) -> io::Result<Dialogue> {
        let mut dialogue = Dialogue::connect(address)?;
        let greeting = dialogue.try_reply()?;
        if greeting.starts_with("220 ") { Ok(dialogue) } else { Err(io::Error::other(greeting)) }
    }

    /// Connects, takes the greeting, and says EHLO.
    #[must_use]
    pub fn open(address: SocketAddr) -> Dialogue {
        let mut dialogue = Dialogue::try_open(address).unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        dialogue.expect("EHLO client.test", "250");
        dialogue
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        let wire = self.reader.get_mut();
        wire.write_all(octets)?;
        wire.flush()
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).expect("send to the server");
    }

    /// The next reply, all its lines.
    ///
    /// # Errors
    /// When the server is gone or silent.
    pub fn try_reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.reader.read_line(&mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply.trim_end().to_owned());
            }
        }
    }

    /// The next reply, all its lines.
    pub fn reply(&mut self) -> String {
        self.try_reply().expect("a reply of the server")
    }

    /// Sends a command line; its reply.
    pub fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Sends a command line, whose reply must begin so.
    pub fn expect(&mut self, command: &str, start: &str) -> String {
        let reply = self.say(command);
        assert!(reply.starts_with(start), "{command:?} is answered {reply:?} and not {start}");
        reply
    }

    /// Sends a message; the reply to its end.
    ///
    /// # Errors
    /// When the server is gone; with the reply, when it refuses a command.
    pub fn try_message(&mut self, from: &str, to: &[&str], text: &[u8]) -> io::Result<String> {
        let mut commands = vec![format!("MAIL FROM:<{from}> BODY=8BITMIME")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        commands.push("DATA".into());
        for command in commands {
            self.try_send(format!("{command}\r\n").as_bytes())?;
            let reply = self.try_reply()?;
            if !reply.starts_with(['2', '3']) {
                return Err(io::Error::other(reply));
            }
        }
        self.try_send(&stuffed(text))?;
        self.try_reply()
    }

    /// Sends a message that must be taken.
    pub fn message(&mut self, from: &str, to: &[&str], text: &[u8]) {
        let reply = self.try_message(from, to, text).unwrap_or_else(|error| panic!("a message to {to:?}: {error}"));
        assert!(reply.starts_with("250"), "a message to {to:?} is answered {reply:?}");
    }

    /// Whether the server has closed the connection, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        // A server that closes while commands are on their way to it resets the connection; under TLS that may cut the end off.
        let gone =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof);
        self.reader.fill_buf().map_or_else(|error| gone(&error), <[u8]>::is_empty)
    }
}

/// A text as DATA carries it: dots doubled at the start of lines, and the closing line.
#[must_use]
pub fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(text.len() + 16);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
