//! A host that answers as a test tells it to.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jiff::Timestamp;

/// Answers a command line (`.` for the end of the text, an empty one for the greeting), or leaves it to the host.
type Script = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A host that runs until it is dropped.
pub struct Scripted {
    /// Where it takes mail.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<(Timestamp, String)>>>,
    stop: Arc<AtomicBool>,
}

impl Scripted {
    /// Starts one on a free port. What `script` does not answer is accepted.
    #[must_use]
    pub fn start(script: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Scripted {
        Scripted::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// Starts one at this address.
    #[must_use]
    pub fn start_at(address: SocketAddr, script: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("listen on {address}: {error}"));
        let address = listener.local_addr().expect("its address");
        let heard = Arc::new(Mutex::default());
        let stop = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let (theirs, stopped) = (Arc::clone(&heard), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (script, heard) = (Arc::clone(&script), Arc::clone(&theirs));
                // A peer that goes away ends its session, and nothing else.
                thread::spawn(move || session(stream, &*script, &heard).ok());
            }
        });
        Scripted { address, heard, stop }
    }

    /// The command lines that it was given, `.` for the end of a text, and a connection as an empty one.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic while it was held").iter().map(|(_, line)| line.clone()).collect()
    }

    /// When lines that begin so came.
    #[must_use]
    pub fn moments(&self, start: &str) -> Vec<Timestamp> {
        let heard = self.heard.lock().expect("no panic while it was held");
        heard.iter().filter(|(_, line)| line.starts_with(start)).map(|(at, _)| *at).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that.
        let _ = TcpStream::connect(self.address);
    }
}

fn session(stream: TcpStream, script: &Script, heard: &Mutex<Vec<(Timestamp, String)>>) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    let note = |line: &str| heard.lock().expect("no panic while it was held").push((Timestamp::now(), line.to_owned()));
    let mut answer = |line: &str, otherwise: &str| -> std::io::Result<bool> {
        let reply = script(line).unwrap_or_else(|| otherwise.to_owned());
        write!(output, "{reply}\r\n")?;
        Ok(reply.starts_with('3') || reply.starts_with('2'))
    };
    note("");
    answer("", "220 scripted ESMTP")?;
    let mut line = String::new();
    let mut recipients = 0;
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        note(&command);
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let otherwise = match verb.as_str() {
            "EHLO" => "250-scripted\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0",
            "DATA" if recipients == 0 => "554 5.5.1 no valid recipients",
            "DATA" => "354 go on",
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 ok",
        };
        let accepted = answer(&command, otherwise)?;
        match verb.as_str() {
            "MAIL" | "RSET" => recipients = 0,
            "RCPT" if accepted => recipients += 1,
            "DATA" if accepted => {
                read_text(&mut input)?;
                note(".");
                answer(".", "250 2.0.0 taken")?;
            }
            "QUIT" => return Ok(()),
            _ => {}
        }
    }
}

fn read_text(input: &mut impl BufRead) -> std::io::Result<()> {
    let mut line = Vec::new();
    while line != b".\r\n" {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
