//! Which senders a client may use: its entry's `senders`.

use crate::smtp::{Mailbox, ReversePath};

/// One of the senders.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// The null reverse-path, which bounces have.
    Null,
    Address(String),
    Domain(String),
}

/// The senders of one entry.
#[derive(Debug)]
pub(super) struct Senders(Vec<Rule>);

impl Senders {
    pub(super) fn new(rules: &[String]) -> Senders {
        Senders(rules.iter().map(|rule| Rule::new(rule)).collect())
    }

    /// Whether any will do.
    pub(super) fn are_free(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the envelope may name this sender.
    pub(super) fn allow(&self, sender: &ReversePath) -> bool {
        match sender.mailbox() {
            Some(mailbox) => self.are_free() || self.name(mailbox),
            // Whoever is bound to some senders may not avoid that by having none.
            None => self.are_free() || self.0.contains(&Rule::Null),
        }
    }

    /// Whether the header's From or Sender may name this address. An entry for bounces alone says nothing of whom they are from.
    pub(super) fn allow_in_header(&self, mailbox: &Mailbox) -> bool {
        self.0.iter().all(|rule| *rule == Rule::Null) || self.name(mailbox)
    }

    fn name(&self, mailbox: &Mailbox) -> bool {
        self.0.iter().any(|rule| match rule {
            Rule::Null => false,
            // Senders are compared without regard to case, as every mail system does in practice.
            Rule::Domain(allowed) => mailbox.domain().eq_ignore_ascii_case(allowed),
            Rule::Address(allowed) => mailbox.as_str().eq_ignore_ascii_case(allowed),
        })
    }
}

impl Rule {
    fn new(rule: &str) -> Rule {
        match rule.strip_prefix('@') {
            _ if rule == "<>" => Rule::Null,
            Some(domain) => Rule::Domain(domain.to_ascii_lowercase()),
            None => Rule::Address(rule.to_owned()),
        }
    }
}
