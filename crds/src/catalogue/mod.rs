//! The catalogue: every reason and every code that the Monitor, the log and the status show, what it means, what usually
//! causes it, and what to do.
//!
//! A code is made from a type that the catalogue lists, never from a text: so none can be shown that it does not explain.
//! Sets that others add to (errnos, alerts, SMTP replies) have an entry for what is not known, too.
//!
//! - [`code`]: a code, of whatever kind; how it is written, and read back;
//! - [`reason`]: why a host's mail waits, and what hinders a relay as a whole;
//! - [`errno`], [`route`], [`tls`], [`alert`], [`auth`], [`reply`], [`enhanced`], [`own`]: the kinds of codes, each with its entries;
//! - [`find`]: what a word or a pasted line of the Monitor is about; [`explain`]: the same with its explanation;
//! - [`document`]: the page `docs/errors.md`.

pub mod alert;
pub mod auth;
pub mod code;
pub mod document;
pub mod enhanced;
pub mod errno;
pub mod explain;
pub mod find;
mod listed;
pub mod own;
pub mod reason;
pub mod reply;
pub mod route;
#[cfg(test)]
mod tests;
pub mod tls;

pub use alert::Alert;
pub use auth::AuthCode;
pub use code::Code;
pub use enhanced::Enhanced;
pub use errno::Errno;
pub use explain::{Explanation, Kind, explain_all};
pub use find::{NotFound, Topic, topics};
pub use own::OwnCode;
pub use reply::ReplyCode;
pub use route::RouteCode;
pub use tls::TlsCode;

/// What the catalogue says of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it means.
    pub meaning: &'static str,
    /// What usually causes it.
    pub cause: &'static str,
    /// What an administrator does about it.
    pub advice: &'static str,
}

/// An entry of an open set, by its number.
type Numbered<N> = (N, &'static str, Entry);

/// An entry, in the order in which it is read.
const fn entry(meaning: &'static str, cause: &'static str, advice: &'static str) -> Entry {
    Entry { meaning, cause, advice }
}
