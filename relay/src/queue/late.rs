//! What has waited too long: mail that is to go back, and mail whose sender is to be told that it is late.

use jiff::{SignedDuration, Timestamp};

use super::{HostSummary, Queue, Recipients, Work};
use crate::spool::{Location, MessageId, Told};

/// A message whose sender is to be told that it is late.
#[derive(Debug)]
pub struct LateMessage {
    /// The message.
    pub id: MessageId,
    /// Where it is in the spool.
    pub location: Location,
    /// What the sender is told of.
    pub told: Told,
    /// Its recipients that wait, by host.
    pub parts: Vec<LatePart>,
}

/// Recipients of a late message at one host.
#[derive(Debug)]
pub struct LatePart {
    /// The recipients.
    pub recipients: Recipients,
    /// The host, and why it takes no mail, as the Monitor shows it.
    pub host: HostSummary,
}

impl Queue {
    /// Messages that are to go back at `now` and that no session has taken, oldest first, at most `most`: older than `age`, or
    /// past the moment after which their sender does not want them delivered. Each comes as the work of one host, taken as
    /// [`Queue::take`] does, so that it can be bounced and settled.
    pub fn take_expired(&mut self, age: SignedDuration, now: Timestamp, most: usize) -> Vec<Work> {
        let mut expired = Vec::new();
        for (id, message) in self.messages.expired(age, now) {
            if expired.len() >= most {
                break;
            }
            for host_id in message.hosts.iter() {
                let Some(host) = self.hosts.get_mut(host_id) else { continue };
                if let Some((attempts, recipients, told)) = host.take_message(id) {
                    let location = message.location;
                    expired.push(Work { host: *host_id, id, location, recipients, attempts, told });
                }
            }
        }
        for work in &expired {
            self.refresh(work.host);
        }
        expired
    }

    /// When the first message reaches `age`, or is late for its sender.
    #[must_use]
    pub fn next_expiry(&self, age: SignedDuration) -> Option<Timestamp> {
        self.messages.next_expiry(age)
    }

    /// When the first message is older than `age`, however its sender's own time limit stands.
    #[must_use]
    pub fn next_too_old(&self, age: SignedDuration) -> Option<Timestamp> {
        self.messages.next_too_old(age)
    }

    /// Messages whose senders are to be told that they are late, at most `most`, none twice for the same reason: `after` is the age
    /// at which the relay says so of itself. What a session has in hand at the moment is told of when it is deferred. None
    /// before all mail that a restart found is in: what was told before it is known only then.
    pub fn take_late(&mut self, after: Option<SignedDuration>, now: Timestamp, most: usize) -> Vec<LateMessage> {
        if !self.complete {
            return Vec::new();
        }
        let overdue = self.messages.became_overdue(now, most);
        let mut ids: Vec<(MessageId, Told)> = overdue.into_iter().map(|id| (id, Told::OVERDUE)).collect();
        let owed = self.owed.len().min(most.saturating_sub(ids.len()));
        ids.extend(self.owed.drain(..owed));
        if let Some(after) = after {
            let left = most.saturating_sub(ids.len());
            ids.extend(self.messages.became_late(after, now, left).into_iter().map(|id| (id, Told::LATE)));
        }
        ids.into_iter().filter_map(|(id, told)| self.late_message(id, told)).collect()
    }

    fn late_message(&mut self, id: MessageId, told: Told) -> Option<LateMessage> {
        let message = self.messages.get(id)?;
        let location = message.location;
        let hosts: Vec<_> = message.hosts.to_vec();
        let mut parts = Vec::new();
        for host_id in hosts {
            let recipients = self.hosts.get_mut(&host_id).and_then(|host| host.tell(id, told));
            if let Some(recipients) = recipients
                && let Some(host) = self.explain(host_id)
            {
                parts.push(LatePart { recipients, host });
            }
        }
        (!parts.is_empty()).then_some(LateMessage { id, location, told, parts })
    }

    /// What is to be written down of a message that waits at a host: attempts so far, when it is due, and what its sender was
    /// told. None while a session has it, or when it is gone.
    #[must_use]
    pub fn waiting(&self, host: super::HostId, id: MessageId) -> Option<(u32, Option<Timestamp>, Told)> {
        self.hosts.get(&host)?.waiting(id)
    }

    /// A host's state in the Monitor's words.
    #[must_use]
    pub fn explain(&self, id: super::HostId) -> Option<HostSummary> {
        self.hosts.get(&id).map(|host| self.summary(id, host))
    }

    /// All mail that a restart found is in. It is put into the order of acceptance: the spool hands its newest part out first.
    pub fn recovery_ended(&mut self) {
        self.complete = true;
        self.holds.retain_messages(|id| self.messages.get(id).is_some());
        self.put_in_order();
    }

    /// Puts what is ready at each host into the order of acceptance, after mail came that was accepted elsewhere before.
    pub fn put_in_order(&mut self) {
        for host in self.hosts.values_mut() {
            host.sort_ready();
        }
    }

    /// Whether all mail that a restart found is in.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}
