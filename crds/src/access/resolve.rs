//! What is granted: a relay's allowance, and all that asks it, come to a verdict each.
//!
//! An ask is granted whole or not at all, and never by default: an allowance that is absent grants nothing, and labels that are not known are
//! no labels.

use std::collections::{BTreeMap, HashMap};

use kube::core::{Selector, SelectorExt as _};

use super::{DEFAULT_NAMESPACE, SMTPAccess, pattern::Pattern};
use crate::relay::{Allowance, Client, NamespacesFrom};

/// Octets of what is granted by one relay: it goes into one ConfigMap with the rest of its configuration.
const MOST_OCTETS: usize = 512 << 10;
/// Octets of what is granted to one namespace, so that none takes the room of all others.
const MOST_OF_A_NAMESPACE: usize = 32 << 10;
/// What an entry of a list takes beside its own octets, as it is written down.
const AROUND: usize = 16;
/// What an ask takes beside its lists and its name.
const EMPTY: usize = 512;

/// A namespace, and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What is known of a namespace's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// These.
    Known(BTreeMap<String, String>),
    /// Nothing: nobody here sees namespaces.
    Unseen,
}

/// What an ask comes to.
pub type Verdict = Result<Client, Refusal>;

/// Why an ask is not granted, with what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The relay's owner has said nothing of access.
    #[error(
        "SMTPRelay {0} lets nobody ask: its owner writes `access` into it, or an entry for these service accounts into its `clients`"
    )]
    NobodyMayAsk(Place),
    /// Only the relay's own namespace may ask.
    #[error(
        "SMTPRelay {relay} lets its own namespace alone ask, not {namespace}: its owner writes `access.namespaces`, with `from: Selector`"
    )]
    OwnNamespaceAlone {
        /// The relay.
        relay: Place,
        /// The namespace that asks.
        namespace: String,
    },
    /// The namespace lacks labels.
    #[error(
        "SMTPRelay {relay} lets namespaces ask that have the labels {wanted}, and {namespace} has not: write them into the Namespace, or have that done"
    )]
    LabelsMissing {
        /// The relay.
        relay: Place,
        /// The namespace that asks.
        namespace: String,
        /// The selector.
        wanted: String,
    },
    /// Labels are asked for, and cannot be seen.
    #[error(
        "SMTPRelay {0} lets namespaces ask by their labels, which cannot be seen here: its owner writes `from: Same` or `from: All`, or an entry into its `clients`"
    )]
    LabelsUnseen(Place),
    /// Senders are asked for that are not allowed.
    #[error(
        "SMTPRelay {relay} does not let namespace {namespace} use {wrong}: write senders within {allowed}, or have its owner allow more"
    )]
    Senders {
        /// The relay.
        relay: Place,
        /// The namespace that asks.
        namespace: String,
        /// The senders that are not allowed.
        wrong: String,
        /// Those that are.
        allowed: String,
    },
    /// There is no room for more.
    #[error(
        "SMTPRelay {relay} has granted as much as it can to {whom}: write fewer senders and service accounts, or `*` and `@` with a domain"
    )]
    Full {
        /// The relay.
        relay: Place,
        /// To whom.
        whom: String,
    },
}

impl Refusal {
    /// The reason as a condition spells it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NobodyMayAsk(_) | Refusal::OwnNamespaceAlone { .. } | Refusal::LabelsMissing { .. } => {
                "NotAllowed"
            }
            Refusal::LabelsUnseen(_) => "NamespacesNotSeen",
            Refusal::Senders { .. } => "SendersNotAllowed",
            Refusal::Full { .. } => "RelayFull",
        }
    }
}

impl Place {
    /// A place; a namespace that is not said is the default one.
    #[must_use]
    pub fn new(namespace: Option<String>, name: &str) -> Place {
        Place { namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.into()), name: name.to_owned() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Judges all that asks that relay, the oldest first: where there is no room for all, those that came first have it. What asks another relay is
/// passed over.
pub fn resolve<'a>(
    relay: &Place,
    allowance: Option<&Allowance>,
    asks: impl IntoIterator<Item = &'a SMTPAccess>,
    labels: impl Fn(&str) -> Labels,
) -> Vec<(Place, Verdict)> {
    let mut asks: Vec<_> = asks.into_iter().filter(|ask| ask.relay() == *relay).collect();
    asks.sort_by_key(|ask| (ask.metadata.creation_timestamp.as_ref().map(|time| time.0), ask.place()));
    let mut room = Room::default();
    let judged = asks.into_iter().map(|ask| {
        let place = ask.place();
        let verdict = allows(relay, allowance, ask, &labels).and_then(|()| room.take(relay, ask));
        (place, verdict.map(|()| ask.client()))
    });
    judged.collect()
}

fn allows(
    relay: &Place,
    allowance: Option<&Allowance>,
    ask: &SMTPAccess,
    labels: impl Fn(&str) -> Labels,
) -> Result<(), Refusal> {
    let (relay, namespace) = (relay.clone(), ask.place().namespace);
    let Some(allowance) = allowance else { return Err(Refusal::NobodyMayAsk(relay)) };
    match allowance.namespaces.from {
        NamespacesFrom::All => {}
        NamespacesFrom::Same if namespace == relay.namespace => {}
        NamespacesFrom::Same => return Err(Refusal::OwnNamespaceAlone { relay, namespace }),
        NamespacesFrom::Selector => {
            let Labels::Known(labels) = labels(&namespace) else { return Err(Refusal::LabelsUnseen(relay)) };
            let selector = allowance.namespaces.selector.clone().and_then(|selector| Selector::try_from(selector).ok());
            let selector = selector.filter(|selector| !selector.selects_all());
            if !selector.as_ref().is_some_and(|selector| selector.matches(&labels)) {
                let wanted = selector.map(|selector| selector.to_string()).unwrap_or_default();
                return Err(Refusal::LabelsMissing { relay, namespace, wanted });
            }
        }
    }
    let patterns: Vec<_> = allowance.senders.iter().map(|text| Pattern::new(text, &namespace)).collect();
    let is_allowed = |sender: &str| patterns.iter().any(|pattern| pattern.holds(sender));
    let wrong: Vec<&str> = ask.spec.senders.iter().map(String::as_str).filter(|sender| !is_allowed(sender)).collect();
    // Without senders a client might use any.
    if wrong.is_empty() && !ask.spec.senders.is_empty() {
        return Ok(());
    }
    let wrong = if wrong.is_empty() { "any sender".to_owned() } else { wrong.join(", ") };
    let allowed = patterns.iter().map(Pattern::to_string).collect::<Vec<_>>().join(", ");
    Err(Refusal::Senders { relay, namespace, wrong, allowed })
}

/// What has been granted so far.
#[derive(Default)]
struct Room {
    all: usize,
    namespaces: HashMap<String, usize>,
}

impl Room {
    fn take(&mut self, relay: &Place, ask: &SMTPAccess) -> Result<(), Refusal> {
        let namespace = ask.place().namespace;
        let lists = [&ask.spec.service_accounts, &ask.spec.senders];
        let entries: usize = lists.into_iter().flatten().map(|entry| entry.len() + AROUND).sum();
        let octets = EMPTY + ask.place().name.len() + entries;
        let own = self.namespaces.entry(namespace.clone()).or_default();
        let full = |whom: String| Refusal::Full { relay: relay.clone(), whom };
        if *own + octets > MOST_OF_A_NAMESPACE {
            return Err(full(format!("namespace {namespace}")));
        }
        if self.all + octets > MOST_OCTETS {
            return Err(full("all namespaces".into()));
        }
        *own += octets;
        self.all += octets;
        Ok(())
    }
}
