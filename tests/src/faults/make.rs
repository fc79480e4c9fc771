//! How faults begin, and how they end.

use std::{net::SocketAddr, process::Command, thread, time::Duration};

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit, civil::Date};
use mailsluice_crds::{
    quantity::Interval,
    relay::ScheduleRef,
    schedule::{ClockTime, Exception, LinkState, Window},
};

use super::{
    peer::Peer,
    row::{Act, At, Cause, Dns as Answer, Gate, Own, Path, Row, Tls},
    world::{NO_RESOLVER, OwnRelay, Place, SECRET, World, base},
};
use crate::{
    authority::Issued,
    certificate,
    dialogue::Dialogue,
    disk,
    dns::Trouble,
    mail,
    manifest::{Manifest, SCHEDULE},
    peers::link::PASSWORD,
    process,
    relay::{PATIENCE, program},
    secure::{Host, Page, Web},
    sink::Sink,
    wait,
};

/// The disk of a spool that is to be full: the segment that is written to, the reserve, and room for less than one more.
pub const DISK: u64 = 44 << 20;

/// How long the mail of a row is tried whose fault is that its time is over.
pub const EXPIRE_AFTER: SignedDuration = SignedDuration::from_secs(6);

/// What stands where a row's mail goes.
pub enum Made {
    /// Nothing of its own: the mail goes where all good mail goes.
    Good,
    /// A real host, whose way is barred; none yet where nobody listens.
    Sink(Option<Sink>),
    /// A scripted host.
    Peer(Peer),
    /// A host with TLS, and its domain's web server.
    Secure(Host, Option<Web>),
}

/// Makes a row's fault.
#[must_use]
pub fn make(world: &World, row: &Row, address: SocketAddr, own: Option<&OwnRelay>) -> Made {
    match row.cause {
        Cause::Schedule(Gate::Pause) => {
            // The session after which there is a pause.
            send(own, "shop@example.org", "a@neighbour.test");
            Made::Good
        }
        Cause::Schedule(_) | Cause::Postfix(_) | Cause::Own(Own::NoResolver) => Made::Good,
        Cause::Own(Own::Rate) => {
            send(own, "shop@example.org", &format!("first@{}", row.domain()));
            Made::Good
        }
        Cause::Own(Own::Connections) => {
            let hog = Peer::start(([192, 0, 2, 4], 25).into(), At::Banner, Act::Hang);
            send(own, "shop@example.org", "a@hog.test");
            wait::until_some(PATIENCE, "the only connection is in use", || {
                own?.relay.row("hog.test").filter(|row| !row.connections.is_empty())
            });
            Made::Peer(hog)
        }
        Cause::Own(Own::Full | Own::Expires) => Made::Sink(None),
        Cause::Path(path) => self::path(path, address),
        Cause::Dns(answer) => {
            let (name, trouble) = self::trouble(row, answer);
            world.dns.trouble(&name, Some(trouble));
            Made::Good
        }
        Cause::Peer(at, act) => Made::Peer(Peer::start(address, at, act)),
        Cause::Tls(tls) => self::tls(world, row, tls, address),
        Cause::Hold => {
            control(world, row, "hold");
            Made::Good
        }
    }
}

/// The manifest of a row's own relay.
#[must_use]
pub fn manifest(row: &Row) -> Option<Manifest> {
    let mut manifest = base();
    match row.cause {
        Cause::Schedule(Gate::OpensLater) => {
            // Late enough that all mail is there before.
            let soon = Timestamp::now() + SignedDuration::from_secs(45);
            let minutes = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
            return Some(manifest.opening_at(soon.round(minutes).expect("a moment")));
        }
        Cause::Schedule(Gate::Holiday) => {
            manifest = manifest.scheduled(LinkState::Open, Vec::new());
            let today = Timestamp::now().in_tz("Europe/Rome").expect("a zone").date();
            let dates: Vec<Date> = [Some(today), today.tomorrow().ok()].into_iter().flatten().collect();
            let exception = Exception {
                dates,
                from: ClockTime::midnight(),
                to: ClockTime::end_of_day(),
                link: LinkState::Closed,
                pause: None,
            };
            manifest.schedule.as_mut()?.exceptions.push(exception);
        }
        Cause::Schedule(Gate::NeverOpens) => manifest = manifest.scheduled(LinkState::Closed, Vec::new()),
        Cause::Schedule(Gate::Pause) => {
            let window = Window {
                days: Vec::new(),
                from: ClockTime::midnight(),
                to: ClockTime::end_of_day(),
                link: LinkState::Open,
                pause: Some(Interval::from_secs(1_800)),
            };
            manifest = manifest.scheduled(LinkState::Closed, vec![window]);
        }
        Cause::Schedule(Gate::Missing) => manifest.relay.schedule_ref = Some(ScheduleRef { name: SCHEDULE.into() }),
        Cause::Own(Own::Rate) => manifest.relay.limits.messages_per_host_per_minute = Some(1),
        Cause::Own(Own::Connections) => manifest.relay.limits.connections = 1,
        Cause::Own(Own::Expires) => {
            // A second attempt, and no third.
            manifest.relay.retry.first = Interval::from_secs(4);
            manifest.relay.retry.longest = Interval::from_secs(4);
            manifest.relay.retry.expire_after = Interval::from_secs(EXPIRE_AFTER.as_secs() as u32);
        }
        Cause::Own(Own::Full | Own::NoResolver) => {}
        _ => return None,
    }
    Some(manifest)
}

impl Place {
    /// Sends the mail that meets the fault, and a neighbour's.
    pub fn send(&self, world: &World) {
        let smtp = self.relay(world).smtp;
        if let Cause::Own(Own::Full) = self.row.cause {
            fill(smtp, &self.row);
        } else {
            self.send_to(smtp);
            Dialogue::open(smtp).message("neighbour@example.org", &[&self.neighbour()], &mail::text("a neighbour's"));
        }
    }

    /// Sends the mail that meets the fault to this server.
    pub fn send_to(&self, smtp: SocketAddr) {
        let recipients = match self.row.name {
            "one-of-many" => {
                vec![self.row.recipient(), format!("b@{}", self.row.domain()), format!("c@{}", self.row.domain())]
            }
            "smtputf8" => vec![format!("caffè@{}", self.row.domain())],
            _ => vec![self.row.recipient()],
        };
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let size = match self.row.cause {
            // More than any buffer on the way takes.
            Cause::Path(Path::Rule(_)) | Cause::Peer(At::Body, _) => 8 << 20,
            Cause::Postfix(options) if options.contains("message_size_limit") => 8_000,
            _ => 0,
        };
        let text = mail::text_of_size(self.row.name, size);
        let mut client = Dialogue::open(smtp);
        if recipients.iter().all(|recipient| recipient.is_ascii()) {
            client.message(&self.row.sender(), &recipients, &text);
        } else {
            client.expect(&format!("MAIL FROM:<{}> BODY=8BITMIME SMTPUTF8", self.row.sender()), "250");
            recipients.iter().for_each(|recipient| drop(client.expect(&format!("RCPT TO:<{recipient}>"), "250")));
            client.expect("DATA", "354");
            client.send(&crate::dialogue::stuffed(&text));
            assert!(client.reply().starts_with("250"));
        }
    }

    /// A recipient whose mail is no business of the fault: at the same host where it is a message's, else elsewhere.
    #[must_use]
    pub fn neighbour(&self) -> String {
        match self.row.seen {
            super::row::Seen::Waits(waits) if waits.scope == mailsluice_crds::catalogue::reason::Scope::Message => {
                format!("neighbour@{}", self.row.domain())
            }
            _ => format!("{}@neighbour.test", self.row.name),
        }
    }

    /// Ends the fault.
    pub fn mend(&mut self, world: &World) {
        let row = self.row;
        match (row.cause, &mut self.made) {
            // It opens by itself.
            (Cause::Schedule(Gate::OpensLater), _) => {}
            (Cause::Schedule(gate), _) => self.rewrite(|manifest| {
                let schedule = gate != Gate::Missing;
                manifest.relay.schedule_ref = schedule.then(|| ScheduleRef { name: SCHEDULE.into() });
                if let Some(schedule) = &mut manifest.schedule {
                    schedule.default = LinkState::Open;
                    schedule.windows.clear();
                    schedule.exceptions.clear();
                }
            }),
            (Cause::Own(Own::Rate), _) => {
                self.rewrite(|manifest| manifest.relay.limits.messages_per_host_per_minute = None);
            }
            (Cause::Own(Own::NoResolver), _) => {
                let (address, port) = NO_RESOLVER.split_once(':').expect("an address and a port");
                let to = world.dns.address;
                for protocol in ["udp", "tcp"] {
                    nft(&format!("add rule ip faults names ip daddr {address} {protocol} dport {port} dnat to {to}"));
                }
            }
            (Cause::Path(Path::NoRoute | Path::Route(_)), Made::Sink(sink)) => {
                let address = self.address.ip().to_string();
                process::run(Command::new("ip").args(["route", "replace", "local", &address, "dev", "lo"]));
                *sink = Some(Sink::start_at(self.address));
            }
            (Cause::Path(Path::Rule(_)) | Cause::Tls(Tls::Reset), _) => nft("flush chain ip faults path"),
            (_, Made::Sink(sink @ None)) => *sink = Some(Sink::start_at(self.address)),
            (_, Made::Peer(peer)) => peer.mend(),
            (Cause::Dns(answer), _) => world.dns.trouble(&trouble(&row, answer).0, None),
            (Cause::Tls(Tls::Password), _) => certificate::put(world.secrets(), SECRET, "password", PASSWORD),
            (Cause::Tls(Tls::Sts), _) => world.dns.trouble(&row.domain(), None),
            (Cause::Tls(Tls::Dane), Made::Secure(host, _)) => host.show(Some(world.recorded.server())),
            (_, Made::Secure(host, _)) => host.show(Some(world.authority.issue(&row.exchanger()).server())),
            (Cause::Hold, _) => control(world, &row, "release"),
            (_, Made::Good | Made::Sink(Some(_))) => {}
        }
    }

    fn rewrite(&mut self, change: impl FnOnce(&mut Manifest)) {
        if let Some(own) = &mut self.own {
            change(&mut own.manifest);
            own.relay.rewrite(&own.manifest);
        }
    }

    /// Takes away what would keep its folder from being removed.
    pub fn clear(&self) {
        if let (Cause::Own(Own::Full), Some(own)) = (self.row.cause, &self.own) {
            disk::unmount(&own.relay.folder().join("spool"));
        }
    }

    /// Whether mail for this recipient arrived where this row's goes.
    #[must_use]
    pub fn has(&self, world: &World, recipient: &str) -> bool {
        match (&self.made, self.row.cause) {
            (Made::Peer(_), Cause::Own(_)) | (Made::Good, _) => world.good.has(recipient),
            (Made::Sink(Some(sink)), _) => {
                sink.received().iter().any(|message| message.envelope.recipients.iter().any(|to| to == recipient))
            }
            (Made::Peer(peer), _) => peer.arrivals().iter().any(|to| to == recipient),
            (Made::Secure(host, _), _) => {
                host.arrivals().iter().any(|arrival| arrival.recipients.iter().any(|to| to == recipient))
            }
            (Made::Sink(None), _) => false,
        }
    }
}

/// Has an administrator do this to the row's host.
fn control(world: &World, row: &Row, word: &str) {
    let spool = world.relay.folder().join("spool");
    let arguments = [word, &row.host(), "--by", "alice", "--reason", "their server moves"];
    process::run(Command::new(program()).arg("ctl").args(arguments).arg("--spool").arg(spool));
}

fn send(own: Option<&OwnRelay>, from: &str, to: &str) {
    if let Some(own) = own {
        Dialogue::open(own.relay.smtp).message(from, &[to], &mail::text("before"));
    }
}

/// Sends till no more is taken.
fn fill(smtp: SocketAddr, row: &Row) {
    let mut client = Dialogue::open(smtp);
    let text = mail::text_of_size(row.name, 200_000);
    while let Ok(reply) = client.try_message(&row.sender(), &[&row.recipient()], &text) {
        if !reply.starts_with("250") {
            break;
        }
    }
}

fn path(path: Path, address: SocketAddr) -> Made {
    let ip = address.ip().to_string();
    match path {
        // It listens as soon as it can be reached.
        Path::Nobody | Path::NoRoute => return Made::Sink(None),
        Path::Route(kind) => {
            process::run(Command::new("ip").args(["route", "add", kind, &ip]));
            return Made::Sink(None);
        }
        Path::Rule(_) => {}
    }
    let sink = Sink::start_at(address);
    if let Path::Rule(rule) = path {
        nft(&format!("add rule ip faults path ip daddr {ip} {rule}"));
    }
    Made::Sink(Some(sink))
}

pub(super) fn nft(command: &str) {
    process::run(Command::new("nft").arg(command));
}

/// Which name the DNS server makes trouble with, and which.
fn trouble(row: &Row, answer: Answer) -> (String, Trouble) {
    let domain = row.domain();
    match answer {
        Answer::NoName => (domain, Trouble::NoName),
        Answer::NoSmarthost => (row.exchanger(), Trouble::NoName),
        Answer::ServFail => (domain, Trouble::ServFail),
        Answer::Silent => (domain, Trouble::Silent),
        Answer::Lame => (domain, Trouble::Lame),
        Answer::Mx(to) => {
            let records = format!("{domain}. 1 IN MX 10 {to}");
            (domain, Trouble::Gives(records))
        }
        Answer::Denied => (format!("_25._tcp.{}", row.exchanger()), Trouble::Denies("test.")),
    }
}

fn tls(world: &World, row: &Row, tls: Tls, address: SocketAddr) -> Made {
    let name = row.exchanger();
    let shown = match tls {
        Tls::Password => return Made::Good,
        Tls::NotOffered => None,
        Tls::Expired => Some(world.authority.issue_expired(&name)),
        Tls::WrongName | Tls::Dane => Some(world.authority.issue("mx.other.test")),
        Tls::SelfSigned => Some(Issued::self_signed(&name)),
        Tls::Sts | Tls::Reset => Some(world.authority.issue(&name)),
    };
    if tls == Tls::Reset {
        // 22 is what a record of a handshake begins with (RFC 8446, section 5.1); no command does.
        nft(&format!(
            "add rule ip faults path ip daddr {} tcp dport 25 @ih,0,8 22 reject with tcp reset",
            address.ip()
        ));
    }
    let host = Host::start_at(address, shown.map(|issued| issued.server()));
    let web = (tls == Tls::Sts).then(|| {
        let domain = row.domain();
        world.dns.trouble(&domain, Some(Trouble::Gives(format!("{domain}. 1 IN MX 10 mx.elsewhere.test."))));
        let policy = format!("version: STSv1\r\nmode: enforce\r\nmx: {name}\r\nmax_age: 86400\r\n");
        let certificate = world.authority.issue(&format!("mta-sts.{domain}"));
        Web::start_at((address.ip(), 443).into(), certificate.server(), Some(Page::text(&policy)))
    });
    Made::Secure(host, web)
}

/// Waits till a pause holds what comes now.
pub fn await_pause() {
    // A session ends two seconds after its last message, and a pause begins five seconds after the last session.
    thread::sleep(Duration::from_secs(8));
}
