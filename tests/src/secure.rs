//! Servers under TLS: a host that takes mail, with STARTTLS or without, and a web server with one page.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a server waits for a peer that says nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A message that arrived at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Whether it came under TLS.
    pub sealed: bool,
    /// The name that the client asked for in the handshake.
    pub name: Option<String>,
    /// The recipients.
    pub recipients: Vec<String>,
    /// Whether MAIL said REQUIRETLS.
    pub required: bool,
}

/// A host that takes mail.
pub struct Host {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    tls: Arc<Mutex<Option<Arc<ServerConfig>>>>,
}

impl Host {
    /// Starts one that offers STARTTLS where it has something to show.
    #[must_use]
    pub fn start_at(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Host {
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let tls = Arc::new(Mutex::new(tls));
        let (theirs, shown) = (Arc::clone(&arrivals), Arc::clone(&tls));
        serve(address, move |stream| {
            let tls = shown.lock().expect("no panic while it was held").clone();
            take_mail(stream, tls, &theirs)
        });
        Host { arrivals, tls }
    }

    /// Shows something else from here on, or offers no STARTTLS any more.
    pub fn show(&self, tls: Option<Arc<ServerConfig>>) {
        *self.tls.lock().expect("no panic while it was held") = tls;
    }

    /// The messages that arrived.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("no panic while it was held").clone()
    }
}

/// What a web server answers: the path's query aside, whatever is asked for.
#[derive(Debug, Clone)]
pub struct Page {
    /// `200 OK`, or another status line's end.
    pub status: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Its text.
    pub text: String,
    /// How long it waits behind each octet of the text.
    pub pace: Option<Duration>,
}

impl Page {
    /// A text that is there.
    #[must_use]
    pub fn text(text: &str) -> Page {
        Page { status: "200 OK".into(), content_type: "text/plain".into(), text: text.into(), pace: None }
    }
}

/// A web server.
pub struct Web {
    page: Arc<Mutex<Option<Page>>>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    /// Starts one; without a page it hangs up.
    #[must_use]
    pub fn start_at(address: SocketAddr, tls: Arc<ServerConfig>, page: Option<Page>) -> Web {
        let page = Arc::new(Mutex::new(page));
        let asked = Arc::new(AtomicUsize::new(0));
        let (shown, count) = (Arc::clone(&page), Arc::clone(&asked));
        serve(address, move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            let page = shown.lock().expect("no panic while it was held").clone();
            answer(stream, tls.clone(), page)
        });
        Web { page, asked }
    }

    /// Answers with something else from here on.
    pub fn show(&self, page: Option<Page>) {
        *self.page.lock().expect("no panic while it was held") = page;
    }

    /// How many connections came.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(address: SocketAddr, session: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("listen on {address}: {error}"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = session.clone();
            // A peer that goes away ends its session, and nothing else.
            thread::spawn(move || {
                stream.set_read_timeout(Some(SILENCE)).and_then(|()| session(stream)).ok();
            });
        }
    });
}

fn seal(tls: Arc<ServerConfig>, stream: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let mut stream = StreamOwned::new(ServerConnection::new(tls).map_err(io::Error::other)?, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn answer(stream: TcpStream, tls: Arc<ServerConfig>, page: Option<Page>) -> io::Result<()> {
    let mut stream = BufReader::new(seal(tls, stream)?);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    let Some(Page { status, content_type, text, pace }) = page else { return Ok(()) };
    let length = text.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n");
    let stream = stream.get_mut();
    write!(stream, "{head}Location: https://127.0.0.1/\r\nConnection: close\r\n\r\n")?;
    match pace {
        None => stream.write_all(text.as_bytes())?,
        Some(pace) => {
            for octet in text.as_bytes() {
                stream.write_all(std::slice::from_ref(octet))?;
                stream.flush()?;
                thread::sleep(pace);
            }
        }
    }
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn take_mail(stream: TcpStream, tls: Option<Arc<ServerConfig>>, arrivals: &Mutex<Vec<Arrival>>) -> io::Result<()> {
    let mut clear = BufReader::new(stream);
    clear.get_mut().write_all(b"220 host.test ESMTP\r\n")?;
    match converse(&mut clear, |stream, octets| stream.write_all(octets), tls.is_some(), (false, None), arrivals)? {
        true => {
            let Some(tls) = tls else { return Ok(()) };
            let stream = seal(tls, clear.into_inner())?;
            let name = stream.conn.server_name().map(str::to_owned);
            let say = |stream: &mut StreamOwned<ServerConnection, TcpStream>, octets: &[u8]| {
                stream.write_all(octets).and_then(|()| stream.flush())
            };
            converse(&mut BufReader::new(stream), say, false, (true, name), arrivals).map(|_| ())
        }
        false => Ok(()),
    }
}

/// True when TLS begins.
fn converse<S: Read>(
    stream: &mut BufReader<S>,
    say: impl Fn(&mut S, &[u8]) -> io::Result<()>,
    offers: bool,
    (sealed, name): (bool, Option<String>),
    arrivals: &Mutex<Vec<Arrival>>,
) -> io::Result<bool> {
    let mut recipients = Vec::new();
    let mut required = false;
    let mut line = String::new();
    while {
        line.clear();
        stream.read_line(&mut line)? > 0
    } {
        let text = line.trim_end();
        let verb = text.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" if offers => "250-host.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
            "EHLO" if sealed => "250-host.test\r\n250-REQUIRETLS\r\n250 8BITMIME\r\n",
            "EHLO" => "250-host.test\r\n250 8BITMIME\r\n",
            "STARTTLS" if offers => {
                say(stream.get_mut(), b"220 go ahead\r\n")?;
                return Ok(true);
            }
            "MAIL" | "RSET" => {
                recipients.clear();
                required = text.ends_with(" REQUIRETLS");
                "250 ok\r\n"
            }
            "RCPT" => {
                let address = text.split(['<', '>']).nth(1).unwrap_or_default();
                recipients.push(address.to_owned());
                "250 ok\r\n"
            }
            "DATA" => {
                say(stream.get_mut(), b"354 go on\r\n")?;
                let mut text = String::new();
                while stream.read_line(&mut text)? > 0 && text != ".\r\n" {
                    text.clear();
                }
                let recipients = std::mem::take(&mut recipients);
                let arrival = Arrival { sealed, name: name.clone(), recipients, required };
                arrivals.lock().expect("no panic while it was held").push(arrival);
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "502 what?\r\n",
        };
        say(stream.get_mut(), reply.as_bytes())?;
        if verb == "QUIT" {
            break;
        }
    }
    Ok(false)
}
