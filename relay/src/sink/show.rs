//! What is printed: a line for each message, or totals.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{errors::shortened, smtp::Envelope};

/// Lines that wait for a reader that is slow. A client whose line finds no room waits too: every message has its line.
const BACKLOG: usize = 4_096;

/// How often totals are printed while they change.
const INTERVAL: Duration = Duration::from_secs(1);

/// Characters of a subject that are printed.
const SUBJECT_MAX: usize = 72;

/// Where messages are told to.
pub(super) struct Show {
    kind: Kind,
    /// Set when no more messages come.
    ended: CancellationToken,
}

enum Kind {
    Lines(Mutex<Option<mpsc::Sender<String>>>),
    Totals(Arc<Mutex<Totals>>),
}

/// What has come so far.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    messages: u64,
    recipients: u64,
    octets: u64,
    /// When the first and the last of them came.
    span: Option<(Instant, Instant)>,
}

/// The task that prints.
pub(super) struct Printer(JoinHandle<io::Result<()>>);

impl Printer {
    /// Waits until all is printed, or cannot be.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        (&mut self.0).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Show {
    pub(super) fn lines(mut out: impl io::Write + Send + 'static) -> (Show, Printer) {
        let (sender, mut receiver) = mpsc::channel::<String>(BACKLOG);
        let printer = task::spawn_blocking(move || {
            let mut lines = Vec::new();
            while receiver.blocking_recv_many(&mut lines, BACKLOG) > 0 {
                out.write_all(lines.concat().as_bytes())?;
                out.flush()?;
                lines.clear();
            }
            Ok(())
        });
        let kind = Kind::Lines(Mutex::new(Some(sender)));
        (Show { kind, ended: CancellationToken::new() }, Printer(printer))
    }

    pub(super) fn totals(mut out: impl io::Write + Send + 'static) -> (Show, Printer) {
        let totals = Arc::new(Mutex::new(Totals::default()));
        let ended = CancellationToken::new();
        let (theirs, end) = (totals.clone(), ended.clone());
        let printer = task::spawn(async move {
            let mut ticks = time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut shown, mut shown_at) = (Totals::default(), Instant::now());
            loop {
                let last = tokio::select! {
                    _ = ticks.tick() => false,
                    () = end.cancelled() => true,
                };
                let now = *lock(&theirs);
                if last {
                    writeln!(out, "{}", now.in_total(Timestamp::now()))?;
                    return out.flush();
                }
                if now.messages != shown.messages {
                    let rate = per_second(now.messages - shown.messages, shown_at.elapsed());
                    writeln!(out, "{}, {rate} messages/s", now.describe(Timestamp::now()))?;
                    out.flush()?;
                }
                (shown, shown_at) = (now, Instant::now());
            }
        });
        (Show { kind: Kind::Totals(totals), ended }, Printer(printer))
    }

    /// Whether the beginning of a message is of use.
    pub(super) fn wants_subjects(&self) -> bool {
        matches!(self.kind, Kind::Lines(_))
    }

    /// Tells of a message, `head` being its beginning.
    pub(super) async fn message(&self, at: Timestamp, client: SocketAddr, envelope: &Envelope, head: Option<&[u8]>) {
        match &self.kind {
            Kind::Lines(sender) => {
                let sender = lock(sender).clone();
                if let Some(sender) = sender {
                    // When nobody takes lines any more the sink is about to end.
                    let _ = sender.send(line(at, client, envelope, head.unwrap_or_default())).await;
                }
            }
            Kind::Totals(totals) => lock(totals).add(envelope, Instant::now()),
        }
    }

    /// No more messages come.
    pub(super) fn end(&self) {
        self.ended.cancel();
        if let Kind::Lines(sender) = &self.kind {
            *lock(sender) = None;
        }
    }
}

impl Totals {
    fn add(&mut self, envelope: &Envelope, now: Instant) {
        self.messages += 1;
        self.recipients += envelope.recipients.len() as u64;
        self.octets += envelope.size.unwrap_or_default();
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
    }

    fn describe(&self, at: Timestamp) -> String {
        let Totals { messages, recipients, octets, .. } = self;
        format!("{at:.3} {messages} messages, {recipients} recipients, {octets} octets")
    }

    fn in_total(&self, at: Timestamp) -> String {
        let mut text = format!("{} in total", self.describe(at));
        if let Some((first, last)) = self.span
            && self.messages > 1
        {
            let span = last - first;
            // The time from the first to the last is that of one message less.
            let rate = per_second(self.messages - 1, span);
            let _ = write!(text, ", {rate} messages/s over {:.3} s", span.as_secs_f64());
        }
        text
    }
}

fn per_second(messages: u64, time: Duration) -> u64 {
    // Totals are far below 2^52, and the rate is for people.
    (messages as f64 / time.as_secs_f64().max(0.001)).round() as u64
}

/// A message's line.
fn line(at: Timestamp, client: SocketAddr, envelope: &Envelope, head: &[u8]) -> String {
    let mut line = format!("{at:.3} {client} from={} to=", envelope.from);
    for (index, recipient) in envelope.recipients.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = write!(line, "{comma}{}", recipient.path);
    }
    let _ = write!(line, " size={}", envelope.size.unwrap_or_default());
    if let Some(subject) = subject(head) {
        let _ = write!(line, " subject={:?}", shortened(&subject, SUBJECT_MAX));
    }
    line.push('\n');
    line
}

/// The subject as it stands in the header, unfolded.
fn subject(head: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"subject:";
    let mut value: Option<Vec<u8>> = None;
    for line in head.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (&mut value, line) {
            (Some(value), [b' ' | b'\t', ..]) => value.extend_from_slice(line),
            (Some(_), _) | (None, []) => break,
            (None, _) => {
                value = line
                    .split_at_checked(NAME.len())
                    .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
                    .map(|(_, rest)| rest.to_vec());
            }
        }
    }
    let text = String::from_utf8_lossy(&value?).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

// A panic while one of these is held leaves it as it was: nothing in there can fail halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Recipient;

    fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
        let mut envelope = Envelope::new(sender.parse().unwrap());
        envelope.recipients = recipients.iter().map(|path| Recipient::new(path.parse().unwrap())).collect();
        envelope.size = Some(4_096);
        envelope
    }

    #[test]
    fn a_line_says_who_sent_what_to_whom() {
        let at = "2026-11-24T08:00:00.25Z".parse().unwrap();
        let client = ([192, 0, 2, 10], 50_124).into();
        for (envelope, head, expected) in [
            (
                envelope("a@a.example", &["b@b.example", "c@c.example"]),
                "Received: x\r\n\tsubject: no\r\nSUBJECT: Your\r\n  order\r\nTo: b\r\n\r\ntext",
                "from=<a@a.example> to=<b@b.example>,<c@c.example> size=4096 subject=\"Your  order\"",
            ),
            (envelope("", &["b@b.example"]), "To: b\r\n\r\nSubject: no", "from=<> to=<b@b.example> size=4096"),
            (
                envelope("", &["b@b.example"]),
                "Subject: \u{1b}[2J",
                "from=<> to=<b@b.example> size=4096 subject=\"\\u{1b}[2J\"",
            ),
            (envelope("", &["b@b.example"]), "Subject:\r\n\r\n", "from=<> to=<b@b.example> size=4096"),
            (envelope("", &["b@b.example"]), "", "from=<> to=<b@b.example> size=4096"),
        ] {
            let line = line(at, client, &envelope, head.as_bytes());
            assert_eq!(line, format!("2026-11-24T08:00:00.250Z 192.0.2.10:50124 {expected}\n"));
        }
    }

    #[test]
    fn totals_count_messages_recipients_and_octets() {
        let mut totals = Totals::default();
        let start = Instant::now();
        let at = "2026-11-24T08:00:00Z".parse().unwrap();
        assert_eq!(totals.in_total(at), "2026-11-24T08:00:00.000Z 0 messages, 0 recipients, 0 octets in total");
        for tenth in 0..=20 {
            totals.add(
                &envelope("a@a.example", &["b@b.example", "c@c.example"]),
                start + Duration::from_millis(100 * tenth),
            );
        }
        assert_eq!(
            totals.in_total(at),
            "2026-11-24T08:00:00.000Z 21 messages, 42 recipients, 86016 octets in total, 10 messages/s over 2.000 s"
        );
    }
}
