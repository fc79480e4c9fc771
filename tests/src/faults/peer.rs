//! A host with one fault, until that is mended: where no real host has it at will.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use rustix::net::sockopt::set_socket_linger;

use super::row::{Act, At};

/// The host.
pub struct Peer {
    state: Arc<State>,
}

struct State {
    at: At,
    act: Act,
    mended: Mutex<bool>,
    changed: Condvar,
    arrivals: Mutex<Vec<String>>,
    faults: Mutex<Vec<Timestamp>>,
}

/// How a session goes on.
enum Step {
    On,
    Over,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    /// Starts it at this address, for as long as the process lives.
    #[must_use]
    pub fn start(address: SocketAddr, at: At, act: Act) -> Peer {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("listen on {address}: {error}"));
        let state = Arc::new(State {
            at,
            act,
            mended: Mutex::default(),
            changed: Condvar::new(),
            arrivals: Mutex::default(),
            faults: Mutex::default(),
        });
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&theirs);
                // A peer that goes away ends its session, and nothing else.
                thread::spawn(move || state.session(stream).ok());
            }
        });
        Peer { state }
    }

    /// From here on it does as it should.
    pub fn mend(&self) {
        *lock(&self.state.mended) = true;
        self.state.changed.notify_all();
    }

    /// The recipients of the messages that it took.
    #[must_use]
    pub fn arrivals(&self) -> Vec<String> {
        lock(&self.state.arrivals).clone()
    }

    /// When it did what it should not.
    #[must_use]
    pub fn faults(&self) -> Vec<Timestamp> {
        lock(&self.state.faults).clone()
    }
}

impl State {
    fn session(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream.try_clone()?);
        let mut output = stream;
        if let Step::Over = self.answer(&mut output, At::Banner, "220 mx.test ESMTP")? {
            return Ok(());
        }
        let mut recipients = Vec::new();
        let mut line = String::new();
        while {
            line.clear();
            input.read_line(&mut line)? > 0
        } {
            let command = line.trim_end();
            let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let step = match verb.as_str() {
                "EHLO" | "HELO" => self.answer(&mut output, At::Ehlo, self.offers())?,
                "STARTTLS" => {
                    output.write_all(b"220 2.0.0 go ahead\r\n")?;
                    self.act(&mut output, At::StartTls)?;
                    // There is no TLS to go on with.
                    Step::Over
                }
                "AUTH" => self.answer(&mut output, At::Auth, "235 2.7.0 welcome")?,
                "MAIL" => {
                    recipients.clear();
                    self.answer(&mut output, At::Mail, "250 2.1.0 ok")?
                }
                "RCPT" => {
                    recipients.push(command.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                    self.answer(&mut output, At::Rcpt, "250 2.1.5 ok")?
                }
                "DATA" => self.text(&mut input, &mut output, &mut recipients)?,
                "QUIT" => {
                    output.write_all(b"221 2.0.0 bye\r\n")?;
                    Step::Over
                }
                _ => self.say(&mut output, "250 2.0.0 ok")?,
            };
            if let Step::Over = step {
                break;
            }
        }
        Ok(())
    }

    fn offers(&self) -> &'static str {
        match self.at {
            At::StartTls if !*lock(&self.mended) => "250-mx.test\r\n250-STARTTLS\r\n250 8BITMIME",
            At::Auth => "250-mx.test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            _ => "250-mx.test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES",
        }
    }

    fn text(&self, input: &mut impl BufRead, output: &mut TcpStream, recipients: &mut Vec<String>) -> io::Result<Step> {
        if let Step::Over = self.answer(output, At::Data, "354 go on")? {
            return Ok(Step::Over);
        }
        if self.at == At::Body {
            // It has begun by then.
            input.fill_buf()?;
            if let Step::Over = self.act(output, At::Body)? {
                return Ok(Step::Over);
            }
        }
        let mut line = Vec::new();
        while line != b".\r\n" {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(Step::Over);
            }
        }
        let step = self.act(output, At::End)?;
        if let Step::On = step {
            lock(&self.arrivals).append(recipients);
            self.say(output, "250 2.0.0 taken")?;
        }
        Ok(step)
    }

    fn answer(&self, output: &mut TcpStream, at: At, reply: &str) -> io::Result<Step> {
        match (self.act, *lock(&self.mended)) {
            (Act::Say(instead), false) if self.at == at => {
                lock(&self.faults).push(Timestamp::now());
                return self.say(output, instead);
            }
            _ => {}
        }
        match self.act(output, at)? {
            Step::On => self.say(output, reply),
            Step::Over => Ok(Step::Over),
        }
    }

    fn say(&self, output: &mut TcpStream, reply: &str) -> io::Result<Step> {
        write!(output, "{reply}\r\n")?;
        Ok(Step::On)
    }

    /// Does what it should not, if this is the place and the time for it.
    fn act(&self, output: &mut TcpStream, at: At) -> io::Result<Step> {
        let mended = lock(&self.mended);
        if self.at != at || *mended {
            return Ok(Step::On);
        }
        lock(&self.faults).push(Timestamp::now());
        let wait = |limit| {
            // Whatever ended it, it goes on.
            drop(self.changed.wait_timeout_while(mended, limit, |mended| !*mended));
            Ok(Step::On)
        };
        match self.act {
            Act::Say(_) => Ok(Step::On),
            Act::Hang => wait(Duration::MAX),
            Act::Slow(seconds) => wait(Duration::from_secs(seconds)),
            Act::Reset => {
                // Not before the connection is open at its other end.
                thread::sleep(Duration::from_millis(100));
                set_socket_linger(&*output, Some(Duration::ZERO))?;
                Ok(Step::Over)
            }
            Act::Close => {
                output.shutdown(std::net::Shutdown::Both)?;
                Ok(Step::Over)
            }
        }
    }
}
