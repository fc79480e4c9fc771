//! A life as people read it: a line for each thing that happened, and a sum.

use std::fmt;

use jiff::Timestamp;

use super::{Event, Life, Outcome, What};
use crate::table::plain;

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        if !self.events.is_empty() {
            writeln!(f)?;
        }
        writeln!(f, "{}", plain(&self.sum()))
    }
}

impl Life {
    /// What became of it, in a sentence.
    #[must_use]
    pub fn sum(&self) -> String {
        let Life { message, delivered, given_up, dropped, deferrals, suspensions, .. } = self;
        let took = match (self.events.first(), self.events.iter().rev().find(|event| event.what.settles())) {
            (Some(first), Some(last)) => format!(" {} after it came", length(first.at, last.at)),
            _ => String::new(),
        };
        let tries = format!(
            "{}, {}",
            counted(*deferrals, "attempt that put it off", "attempts that put it off"),
            counted(*suspensions, "suspension of its hosts", "suspensions of its hosts")
        );
        match self.outcome {
            Outcome::NotFound => format!("The log has nothing of message {message}."),
            Outcome::Delivered => format!("Message {message} was delivered{took}: {tries}."),
            Outcome::GivenUp => format!("Message {message} was given up{took}: {tries}."),
            Outcome::Dropped => format!("Message {message} was removed by an administrator{took}: {tries}."),
            Outcome::Partly => {
                let parts =
                    [(delivered, "delivered"), (given_up, "given up"), (dropped, "removed by an administrator")];
                let parts =
                    parts.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{what} for {count}"));
                let parts = parts.collect::<Vec<_>>().join(" and ");
                format!("Message {message} was {parts} of its recipients, the last{took}: {tries}.")
            }
            Outcome::Waiting => match self.recipients {
                Some(all) => format!(
                    "Message {message} waits for {} of {all} as far as the log goes: {tries}.",
                    counted(all.saturating_sub(self.settled()), "recipient", "recipients")
                ),
                None => format!("How message {message} came is not in the log: {tries}."),
            },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = self.pod.as_ref().map(|pod| format!("  {pod}")).unwrap_or_default();
        let session = self.session.as_ref().map(|session| format!("  [{session}]")).unwrap_or_default();
        write!(f, "{:.3}{}  {}{}", self.at, plain(&pod), plain(&self.sentence()), plain(&session))
    }
}

impl Event {
    fn sentence(&self) -> String {
        let host = self.host.as_deref().unwrap_or("?");
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let till = |till: &Option<Timestamp>| till.map_or_else(String::new, |till| format!(" till {till:.0}"));
        let of = |count: &Option<u64>| counted(count.unwrap_or(1), "recipient", "recipients");
        match &self.what {
            What::Accepted { client, sender, recipients, bytes, hosts } => format!(
                "accepted from {}, sender <{}>, {}, {} octets, for {}",
                or(client),
                sender.as_deref().unwrap_or_default(),
                of(recipients),
                bytes.unwrap_or_default(),
                hosts.join(", ")
            ),
            What::HostSuspended { till: at, reason, why } => {
                format!("{host} is suspended{}: {reason}: {why}", till(at))
            }
            What::HostReleased { why } => format!("{host} is not suspended any more: {why}"),
            What::AddressSuspended { address, till: at, reason, why } => {
                format!("{address} of {host} is suspended{}: {reason}: {why}", till(at))
            }
            What::Deferred { peer, reply, recipients, till: at, .. } => {
                let with = peer.as_ref().map(|peer| format!(" by {peer}")).unwrap_or_default();
                let again = at.map(|at| format!("; next at {at:.0}")).unwrap_or_default();
                format!("{host}: {} put off{with}: {}{again}", of(recipients), or(reply))
            }
            What::Delivered { peer, reply, recipients } => {
                format!("{host}: delivered to {} for {}: {}", or(peer), of(recipients), or(reply))
            }
            What::GivenUp { recipient, status, why } => format!("gave {} up ({}): {why}", or(recipient), or(status)),
            What::Dropped { by, recipients } => {
                format!("{host}: removed by {} for {}, without a report", or(by), of(recipients))
            }
            What::Reported { report, to, why } => format!("{why}: <{}>, by message {}", or(to), or(report)),
            What::Moved { hosts } => format!("the routes have changed: it waits for {}", hosts.join(", ")),
            What::Noted { why } => why.clone(),
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A length of time as people say it.
fn length(from: Timestamp, to: Timestamp) -> String {
    let time = from.duration_until(to);
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    match seconds {
        ..60 => format!("{seconds}.{millis:03} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
