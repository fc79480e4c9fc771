//! What happens to a message on its port: whether it is one for submission, and what is done to its header then.

use std::sync::Arc;

use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use mailsluice_crds::relay::Role;

use super::session::Session;
use crate::{
    access::{Allowing, Peer},
    config::Config,
    header::{Check, HeaderPass, Missing},
    smtp::{ForwardPath, Reply, ReversePath},
    spool::MessageId,
};

impl Session {
    /// Whether the client came to a port for submission.
    pub(super) fn is_submission(&self, config: &Config) -> bool {
        let listener = config.spec.listeners.iter().find(|listener| listener.port == self.port);
        listener.is_some_and(|listener| listener.role() == Role::Submission)
    }

    /// What is asked at MAIL on a port for submission: who it is, and a complete domain (RFC 6409 sections 4.3 and 4.2). On
    /// others RCPT asks, with more to tell.
    pub(super) fn check_mail(&self, config: &Config, peer: &Peer<'_>, from: &ReversePath) -> Result<(), Reply> {
        if !self.is_submission(config) {
            return Ok(());
        }
        config.access.check_client(peer)?;
        match from.mailbox() {
            Some(mailbox) if !is_complete(mailbox.domain()) => Err(incomplete((1, 8), mailbox.domain())),
            _ => Ok(()),
        }
    }

    /// The same for a recipient.
    pub(super) fn check_domain(&self, config: &Config, to: &ForwardPath) -> Result<(), Reply> {
        match to.domain() {
            Some(domain) if self.is_submission(config) && !is_complete(domain) => Err(incomplete((1, 2), domain)),
            _ => Ok(()),
        }
    }

    /// What the header goes through; None where nothing can happen to it, which is nearly always so on ports for servers.
    pub(super) fn header_pass(
        &self,
        config: &Arc<Config>,
        allowing: Allowing,
        id: MessageId,
        received_at: Timestamp,
    ) -> Option<Box<HeaderPass>> {
        let submission = self.is_submission(config).then(|| Missing {
            date: rfc2822::to_string(&received_at.to_zoned(TimeZone::UTC)).unwrap_or_default(),
            message_id: format!("<{id}@{}>", config.hello),
        });
        let check = (!config.access.is_free(&allowing)).then(|| check(config.clone(), allowing));
        (submission.is_some() || check.is_some()).then(|| Box::new(HeaderPass::new(submission, check)))
    }
}

/// Asks of every address whether one entry allows it together with those before.
fn check(config: Arc<Config>, mut allowing: Allowing) -> Check {
    Box::new(move |field, mailbox| {
        let refuse =
            || Reply::enhanced(550, (7, 1), format!("{field} <{mailbox}> is not an address that this client may use"));
        allowing = config.access.narrow(&allowing, mailbox).ok_or_else(refuse)?;
        Ok(())
    })
}

/// Whether a domain can be known outside: it has a dot, or is an address.
fn is_complete(domain: &str) -> bool {
    domain.contains('.') || domain.starts_with('[')
}

/// RFC 6409 section 4.2 gives the code.
fn incomplete(detail: (u16, u16), domain: &str) -> Reply {
    Reply::enhanced(554, detail, format!("{domain} is not a complete domain: write such as mail.example.com"))
}
