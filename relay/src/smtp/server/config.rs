//! What a server says of itself and how much it takes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::auth::AuthOffer;
use crate::smtp::data::BareLf;

/// How long a server waits for the next command or the next piece of a message (RFC 5321 section 4.5.3.2.7).
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Recipients of one message: Postfix's `smtpd_recipient_limit`; RFC 5321 section 4.5.3.1.8 wants at least 100.
pub const MAX_RECIPIENTS: usize = 1000;

/// Relays that a message may have passed: what RFC 5321 section 6.3 asks for at least. Postfix cuts at 50, which long ways
/// through filters and lists can reach.
pub const MAX_HOPS: u32 = 100;

/// Junk commands before the session ends: Postfix's `smtpd_hard_error_limit`.
pub const MAX_ERRORS: u32 = 20;

/// What a server says of itself and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the greeting and in the replies to HELO and EHLO.
    pub hostname: String,
    /// Octets of a message, as SIZE announces them.
    pub max_size: u64,
    /// Recipients of a message; one more gets 452 4.5.3.
    pub max_recipients: usize,
    /// Received fields of a message; one with more runs in a circle and gets 554 5.4.6.
    pub max_hops: u32,
    /// Junk commands until 421.
    pub max_errors: u32,
    /// Whether STARTTLS is offered.
    pub start_tls: bool,
    /// Whether the peer may say by XCLIENT for whom it speaks.
    pub xclient: bool,
    /// What is done about a bare LF in DATA.
    pub bare_lf: BareLf,
    /// How clients may show who they are.
    pub auth: Option<AuthOffer>,
    /// Whether ETRN is offered.
    pub etrn: bool,
    /// How long mail may be held here before it is sent; none where FUTURERELEASE is not offered.
    pub future_release: Option<FutureRelease>,
}

/// How long mail may be held, as FUTURERELEASE announces it (RFC 4865 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FutureRelease {
    /// The longest time.
    pub longest: SignedDuration,
    /// The latest moment, as far as it is known when the session begins.
    pub latest: Timestamp,
}

impl Config {
    /// A configuration with [`MAX_RECIPIENTS`], [`MAX_HOPS`] and [`MAX_ERRORS`].
    #[must_use]
    pub fn new(hostname: impl Into<String>, max_size: u64) -> Self {
        Self {
            hostname: hostname.into(),
            max_size,
            max_recipients: MAX_RECIPIENTS,
            max_hops: MAX_HOPS,
            max_errors: MAX_ERRORS,
            start_tls: false,
            xclient: false,
            bare_lf: BareLf::Refuse,
            etrn: true,
            future_release: None,
            auth: None,
        }
    }
}
