//! What administrators hold: all mail, hosts, single messages. A hold on a host, or on all mail, counts for what comes too.
//!
//! The queue keeps them beside its mail, and so knows them for a host that has none: nothing here is looked at on the way of a
//! message but whether there is any hold at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use mailsluice_ctl::{Hold, HostName, Target, hold::HoldOn};

use super::{HostId, Queue, Wake, host::Host};
use crate::spool::MessageId;

/// What is held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    all: Option<Arc<Hold>>,
    hosts: BTreeMap<HostName, Arc<Hold>>,
    messages: BTreeMap<MessageId, Arc<Hold>>,
}

/// A hold as it counts for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostHold {
    /// All mail is held.
    OfAll(Arc<Hold>),
    /// The host's is.
    OfHost(Arc<Hold>),
}

/// The sentence of the Monitor.
impl fmt::Display for HostHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostHold::OfAll(hold) => write!(f, "all mail is {hold}"),
            HostHold::OfHost(hold) => hold.fmt(f),
        }
    }
}

impl Holds {
    /// Those in a list.
    #[must_use]
    pub fn of(list: impl IntoIterator<Item = HoldOn>) -> Holds {
        let mut holds = Holds::default();
        for HoldOn { target, hold } in list {
            holds.add(target, hold);
        }
        holds
    }

    /// All of them, the widest first.
    #[must_use]
    pub fn list(&self) -> Vec<HoldOn> {
        let all = self.all.iter().map(|hold| (Target::All, hold));
        let hosts = self.hosts.iter().map(|(host, hold)| (Target::Host(host.clone()), hold));
        let messages = self
            .messages
            .iter()
            .map(|(id, hold)| (Target::Message(mailsluice_ctl::MessageId::from_u64(id.get())), hold));
        let on = |(target, hold): (Target, &Arc<Hold>)| HoldOn { target, hold: hold.as_ref().clone() };
        all.chain(hosts).chain(messages).map(on).collect()
    }

    /// Holds one thing more; what is held already has its new hold from here on.
    pub fn add(&mut self, target: Target, hold: Hold) {
        let hold = Arc::new(hold);
        match target {
            Target::All => self.all = Some(hold),
            Target::Host(host) => {
                self.hosts.insert(host, hold);
            }
            Target::Message(id) => {
                self.messages.insert(MessageId::from_u64(id.get()), hold);
            }
        }
    }

    /// Holds one thing more, unless it is held already.
    pub fn inherit(&mut self, target: Target, hold: Hold) {
        let is_held = match &target {
            Target::All => self.all.is_some(),
            Target::Host(host) => self.hosts.contains_key(host),
            Target::Message(id) => self.messages.contains_key(&MessageId::from_u64(id.get())),
        };
        if !is_held {
            self.add(target, hold);
        }
    }

    /// Those on all mail and on hosts.
    #[must_use]
    pub fn wide(&self) -> Vec<HoldOn> {
        self.list().into_iter().filter(|on| !matches!(on.target, Target::Message(_))).collect()
    }

    /// Lets a target go, with whatever of it is held singly: a host's messages are `of_host`. What is held wider stays so.
    pub fn remove(&mut self, target: &Target, of_host: &BTreeSet<MessageId>) {
        match target {
            Target::All => *self = Holds::default(),
            Target::Host(host) => {
                self.hosts.remove(host);
                self.messages.retain(|id, _| !of_host.contains(id));
            }
            Target::Message(id) => {
                self.messages.remove(&MessageId::from_u64(id.get()));
            }
        }
    }

    /// The hold on all mail, as the sentence of the Monitor, and since when.
    #[must_use]
    pub fn of_all(&self) -> Option<(String, Timestamp)> {
        let hold = self.all.clone()?;
        let since = hold.since;
        Some((HostHold::OfAll(hold).to_string(), since))
    }

    /// Who holds all mail of a host, with what has not come yet, as the sentence of the Monitor.
    #[must_use]
    pub fn sentence(&self, host: &str) -> Option<String> {
        self.of_host(host).map(|hold| hold.to_string())
    }

    /// The hold on a single message.
    #[must_use]
    pub fn of_message(&self, id: MessageId) -> Option<&Hold> {
        self.messages.get(&id).map(Arc::as_ref)
    }

    pub(super) fn of_host(&self, name: &str) -> Option<HostHold> {
        if self.hosts.is_empty() {
            return self.all.clone().map(HostHold::OfAll);
        }
        let own = name.parse::<HostName>().ok().and_then(|name| self.hosts.get(&name).cloned());
        own.map(HostHold::OfHost).or_else(|| self.all.clone().map(HostHold::OfAll))
    }

    /// The same, shared: None at once where no single message is held, as is nearly always so.
    pub(super) fn on_message(&self, id: MessageId) -> Option<&Arc<Hold>> {
        if self.messages.is_empty() { None } else { self.messages.get(&id) }
    }

    /// A message is gone, and its hold with it.
    pub(super) fn forget_message(&mut self, id: MessageId) {
        if !self.messages.is_empty() {
            self.messages.remove(&id);
        }
    }

    pub(super) fn retain_messages(&mut self, waits: impl Fn(MessageId) -> bool) {
        self.messages.retain(|id, _| waits(*id));
    }
}

impl Queue {
    /// What is held.
    #[must_use]
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Holds these from here on, and nothing else. Tells who has to act on what is held no longer.
    pub fn set_holds(&mut self, holds: Holds) -> Vec<Wake> {
        let before = std::mem::replace(&mut self.holds, holds);
        let single: BTreeSet<MessageId> = before.messages.keys().chain(self.holds.messages.keys()).copied().collect();
        let mut touched = BTreeSet::new();
        for id in single {
            let held = self.holds.on_message(id).cloned();
            for host_id in self.messages.get(id).map(|message| message.hosts.to_vec()).unwrap_or_default() {
                if let Some(host) = self.hosts.get_mut(&host_id) {
                    match &held {
                        Some(hold) => host.stop(id, hold),
                        None => host.resume(id),
                    }
                    touched.insert(host_id);
                }
            }
        }
        let ids: Vec<HostId> = self.hosts.keys().copied().collect();
        let mut wakes = Vec::new();
        for id in ids {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            let hold = self.holds.of_host(&host.name);
            // A host that nothing changes for keeps its place in the turn, or out of it.
            if host.hold != hold || touched.contains(&id) {
                host.hold = hold;
                wakes.push(self.refresh(id));
            }
        }
        wakes
    }

    /// Messages of a target that are held, at each host that they go to.
    #[must_use]
    pub fn held(&self, target: &Target) -> u64 {
        let held = |id: HostId| self.hosts.get(&id).map_or(0, Host::stopped_count);
        match target {
            Target::Message(id) => {
                let id = MessageId::from_u64(id.get());
                let hosts = self.messages.get(id).map(|message| message.hosts.to_vec()).unwrap_or_default();
                let hosts = hosts.iter().filter_map(|host| self.hosts.get(host));
                hosts.filter(|host| host.hold.is_some() || host.is_stopped(id)).count() as u64
            }
            _ => self.hosts_of(target).into_iter().map(held).sum(),
        }
    }

    /// The messages of a host.
    #[must_use]
    pub fn messages_of(&self, name: &str) -> BTreeSet<MessageId> {
        let host = self.names.get(name).and_then(|id| self.hosts.get(id));
        host.map(|host| host.ids().collect()).unwrap_or_default()
    }
}
