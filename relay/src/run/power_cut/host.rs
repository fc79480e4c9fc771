//! Hosts that take mail, or not, or break off.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use super::{client::pause, world::World};
use crate::spool::tests::simdisk::Rng;

/// What a host is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    /// Often answers 451.
    Busy,
    /// Breaks connections.
    Flaky,
    /// Wants no mail.
    Bad,
    /// Answers late.
    Slow,
}

/// The addresses of [`Kind`]s, by their last number.
pub(super) const ROUTES: [(&str, u8); 6] =
    [("good.test", 1), ("back.test", 1), ("busy.test", 2), ("flaky.test", 3), ("bad.test", 4), ("slow.test", 5)];

fn kind(world: &World, address: SocketAddr) -> Kind {
    let kind = match address.ip() {
        std::net::IpAddr::V4(ip) => match ip.octets() {
            [.., 2] => Kind::Busy,
            [.., 3] => Kind::Flaky,
            [.., 4] => Kind::Bad,
            [.., 5] => Kind::Slow,
            _ => Kind::Good,
        },
        std::net::IpAddr::V6(_) => Kind::Good,
    };
    if world.is_calm() && kind != Kind::Bad { Kind::Good } else { kind }
}

/// One connection with the host at `address`, until either side ends it.
pub(super) async fn serve(world: World, address: SocketAddr, stream: UnixStream) {
    let rng = world.rng();
    let kind = kind(&world, address);
    // The relay may end it in any way.
    let _ = Host { world, rng, kind, stream: BufReader::new(stream) }.run().await;
}

struct Host {
    world: World,
    rng: Rng,
    kind: Kind,
    stream: BufReader<UnixStream>,
}

impl Host {
    async fn run(mut self) -> io::Result<()> {
        let pipelining = self.rng.one_in(2);
        self.say("220 host.test ESMTP").await?;
        let mut recipients = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
            if self.kind == Kind::Flaky && self.rng.one_in(16) {
                return Ok(());
            }
            match verb.as_str() {
                "EHLO" if pipelining => self.say("250-host.test\r\n250 PIPELINING").await?,
                "MAIL" => {
                    recipients.clear();
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => {
                    let path =
                        line.split_once('<').and_then(|(_, path)| path.split_once('>')).map_or("", |path| path.0);
                    if self.kind == Kind::Bad {
                        self.say("550 5.1.1 nobody here").await?;
                        self.world.refused(path);
                    } else if self.kind == Kind::Busy && self.rng.one_in(3) {
                        self.say("451 4.7.1 come back later").await?;
                    } else {
                        recipients.push(path.to_owned());
                        self.say("250 2.1.5 ok").await?;
                    }
                }
                "DATA" if recipients.is_empty() => self.say("554 5.5.1 no valid recipients").await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    if !self.text(&recipients).await? {
                        return Ok(());
                    }
                }
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("250 2.0.0 ok").await?,
            }
        }
    }

    /// Takes a text; false when the host breaks off.
    async fn text(&mut self, recipients: &[String]) -> io::Result<bool> {
        let mut text = Vec::new();
        let breaks_at = (self.kind == Kind::Flaky && self.rng.one_in(4)).then(|| self.rng.below(2_000));
        while !text.ends_with(b"\r\n.\r\n") {
            if breaks_at.is_some_and(|at| text.len() > at) {
                return Ok(false);
            }
            if self.stream.read_until(b'\n', &mut text).await? == 0 {
                return Ok(false);
            }
        }
        text.truncate(text.len() - 3);
        if self.kind == Kind::Busy && self.rng.one_in(3) {
            self.say("451 4.3.0 come back later").await?;
            return Ok(true);
        }
        self.world.arrived(recipients, &text);
        if self.kind == Kind::Flaky && self.rng.one_in(6) {
            // It has the message, and says nothing.
            return Ok(false);
        }
        if self.kind == Kind::Slow {
            pause(&mut self.rng, 2_000_000).await;
        }
        self.say("250 2.0.0 taken").await?;
        self.world.acknowledged(recipients);
        Ok(true)
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        pause(&mut self.rng, 3_000).await;
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await
    }
}
