//! SMTP itself, and nothing else: what the bytes mean and which bytes answer them.
//!
//! The server session ([`server`]) and both body codecs ([`data`]) do no I/O: bytes go in, events and bytes come out. The
//! client session ([`client`]) runs over any `AsyncRead + AsyncWrite`. Who may relay, where mail is stored and where it goes
//! is decided elsewhere.
//!
//! # Why the parser is our own
//! A relay must pass on, octet for octet, what it was given, and must agree with every neighbour on where a message ends.
//! The crates that were tried do not hold to that:
//!
//! - `smtp-proto` 0.2.5 never ends an empty body, leaves the stuffed dot on a body's first line, drops a bare CR without a
//!   word and takes a bare LF as a command's end (the two halves of SMTP smuggling), turns `<postmaster>` into an empty
//!   recipient, strips the quotes of a quoted local part, replaces octets that are not UTF-8 by U+FFFD, and reads the
//!   enhanced code 5.7.509 as 5.7.255.
//! - `lettre` 0.11 (its client) keeps what it had read in clear across STARTTLS, so that a reply forged before the
//!   handshake is believed after it; stops at the first refused recipient; adds a CRLF to a body that already ends in one;
//!   lets a bare LF through; cannot parse a reply `250` without text, nor a code such as 571; and has no pipelining and no
//!   time limit per command. Composing our own messages, it is good at.

pub mod address;
pub mod client;
pub mod command;
pub mod data;
pub mod envelope;
pub mod extensions;
pub mod reply;
pub mod sasl;
pub mod server;
pub mod xclient;

pub use address::{AddressError, Domain, ForwardPath, Mailbox, ReversePath};
pub use envelope::{BodyType, Envelope, Recipient};
pub use extensions::{Extensions, RecipientExtensions};
pub use reply::{EnhancedCode, Reply, Severity};
pub use xclient::XClient;
