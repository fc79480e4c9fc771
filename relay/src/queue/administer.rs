//! What an administrator does about mail beside holding it: to have it tried now, to take it out, to look at it.

use std::ops::Bound::{Excluded, Included, Unbounded};

use jiff::Timestamp;
use mailsluice_crds::monitor::Reason;
use mailsluice_ctl::{Target, words::queue::MessageState};

use super::{HostId, HostSummary, Queue, Recipients, Wake, Work};
use crate::spool::{Location, MessageId};

/// What may be wrong with a host, so that trying again is worth while. The TCP Schedule and a rate are no failures: they hold by
/// what the configuration says.
const FAILURES: [Reason; 5] =
    [Reason::DnsFailed, Reason::ConnectionFailed, Reason::TlsFailed, Reason::AuthFailed, Reason::HostRefused];

/// What came of having mail tried now.
#[derive(Debug, Default)]
pub struct Retried {
    /// Messages that are due now.
    pub due: u64,
    /// Messages that are being sent already.
    pub sending: u64,
    /// Hosts whose mail waits all the same.
    pub waiting: Vec<HostId>,
    /// Who has to act on it.
    pub wakes: Vec<Wake>,
}

/// A part of a host's messages that was taken out of turn.
#[derive(Debug, Default)]
pub struct Taken {
    /// Those that were taken; each is to be settled.
    pub works: Vec<Work>,
    /// How many a session has in hand.
    pub sending: u64,
    /// The last message that was looked at, where there are more behind it.
    pub more_after: Option<MessageId>,
}

/// A message as it waits for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// The message.
    pub id: MessageId,
    /// Where it is in the spool.
    pub location: Location,
    /// Its recipients there.
    pub recipients: Recipients,
    /// What is done about it.
    pub state: MessageState,
    /// When it is due, where it was put off or its sender wants it held.
    pub due: Option<Timestamp>,
    /// Attempts that failed.
    pub attempts: u32,
}

impl Queue {
    /// The hosts with mail of a target.
    #[must_use]
    pub fn hosts_of(&self, target: &Target) -> Vec<HostId> {
        let has_mail = |id: &HostId| self.hosts.get(id).is_some_and(super::host::Host::has_mail);
        match target {
            Target::All => self.hosts_with_mail(),
            Target::Host(host) => self.names.get(host.as_str()).copied().filter(has_mail).into_iter().collect(),
            Target::Message(id) => {
                let message = self.messages.get(MessageId::from_u64(id.get()));
                message.map(|message| message.hosts.to_vec()).unwrap_or_default()
            }
        }
    }

    /// Messages of a target, at each host that they go to: how many there are, and how many of them a session has in hand.
    #[must_use]
    pub fn count(&self, target: &Target) -> (u64, u64) {
        let hosts = self.hosts_of(target);
        let hosts = hosts.iter().filter_map(|id| self.hosts.get(id));
        match target {
            Target::Message(id) => {
                let id = MessageId::from_u64(id.get());
                hosts.fold((0, 0), |(all, taken), host| (all + 1, taken + u64::from(host.is_taken(id))))
            }
            _ => hosts.fold((0, 0), |(all, taken), host| (all + host.messages() as u64, taken + host.taken_count())),
        }
    }

    /// Has a target tried now: ends suspensions after failures, and lets go what was put off. What the TCP Schedule, a rate, a
    /// hold or a message's own sender keeps waiting still waits.
    pub fn retry(&mut self, target: &Target) -> Retried {
        let single = match target {
            Target::Message(id) => Some(MessageId::from_u64(id.get())),
            Target::All | Target::Host(_) => None,
        };
        let mut retried = Retried::default();
        for id in self.hosts_of(target) {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            if host.suspension.as_ref().is_some_and(|held| FAILURES.contains(&held.reason)) {
                host.suspension = None;
            }
            let (ready, taken) = match single {
                Some(message) => {
                    host.make_due(message);
                    (u64::from(host.is_ready(message)), u64::from(host.is_taken(message)))
                }
                None => {
                    host.release_deferred();
                    (host.ready_count() as u64, host.taken_count())
                }
            };
            self.changes.extend(host.change(Some("an administrator has it tried now")));
            let goes = host.can_send() && ready > 0;
            retried.due += if goes { ready } else { 0 };
            retried.sending += taken;
            if !goes && taken == 0 {
                retried.waiting.push(id);
            }
            retried.wakes.push(self.refresh(id));
        }
        retried
    }

    /// The newest message, so that what is done about all mail is not done about what comes meanwhile.
    #[must_use]
    pub fn newest(&self) -> Option<MessageId> {
        self.messages.newest()
    }

    /// Takes messages of a host out of turn that no session has: those after `after` up to `last`, the oldest first, at most
    /// `most` of them.
    pub fn take_some(&mut self, id: HostId, after: Option<MessageId>, last: MessageId, most: usize) -> Taken {
        let mut taken = Taken::default();
        let Some(host) = self.hosts.get_mut(&id) else { return taken };
        if after.is_some_and(|after| after >= last) {
            return taken;
        }
        let from = after.map_or(Unbounded, Excluded);
        // One more than is looked at tells whether there are more.
        let ids: Vec<MessageId> = host.ids_in((from, Included(last))).take(most.saturating_add(1)).collect();
        if ids.len() > most {
            taken.more_after = ids.get(most.saturating_sub(1)).copied();
        }
        for message in ids.into_iter().take(most) {
            let Some((attempts, recipients, told)) = host.take_message(message) else {
                taken.sending += 1;
                continue;
            };
            let Some(location) = self.messages.get(message).map(|message| message.location) else { continue };
            taken.works.push(Work { host: id, id: message, location, recipients, attempts, told });
        }
        self.refresh(id);
        taken
    }

    /// Forgets a host whose last message was taken out.
    pub fn forget_if_done(&mut self, id: HostId) {
        self.forget_if_empty(id);
    }

    /// Messages that wait for a host, the oldest first, after `after` and at most `most`; and whether there are more.
    #[must_use]
    pub fn page(&self, name: &str, after: Option<MessageId>, most: usize) -> (Vec<WaitingMessage>, bool) {
        let Some(host) = self.names.get(name).and_then(|id| self.hosts.get(id)) else { return (Vec::new(), false) };
        let mut ids = host.ids_in((after.map_or(Unbounded, Excluded), Unbounded));
        let page = ids.by_ref().take(most).filter_map(|id| {
            let (state, due, attempts, recipients) = host.look(id)?;
            let location = self.messages.get(id)?.location;
            let state = if host.hold.is_some() && state != MessageState::Sending { MessageState::Held } else { state };
            Some(WaitingMessage { id, location, recipients, state, due, attempts })
        });
        let page = page.collect();
        (page, ids.next().is_some())
    }

    /// The row of a host by its name; none where no mail waits for it.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<HostSummary> {
        let id = *self.names.get(name)?;
        self.hosts.get(&id).filter(|host| host.has_mail()).map(|host| self.summary(id, host))
    }
}
