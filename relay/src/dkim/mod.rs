//! DKIM signatures on mail that goes out (RFC 6376, 8301, 8463).
//!
//! - [`signing`]: from a message that goes by in pieces to the fields that sign it (pure);
//! - [`canonical`]: the relaxed forms of header and body (pure);
//! - [`header`]: a header's fields, and whose mail it is (pure);
//! - [`keys`]: the keys in force, from Secrets;
//! - [`key`]: a private key, and its record for the DNS;
//! - [`tool`]: the commands that make keys and show records.
//!
//! Decisions:
//! - Mail is signed when it is sent, over a connection that is open, not when it is taken: a key may be replaced while mail waits
//!   for its schedule, and a signature by a key that the DNS no longer has is worth nothing. So what a hop of our own has added
//!   is signed too, the relay's own reports are as other mail is, and the spool holds nothing more. The price is a pass over
//!   the body before it is sent: it is read twice from the disk's cache, 64 KiB at a time, and only where a domain signs.
//! - All is relaxed/relaxed; there is no `l=`, which lets anybody append; no `x=`, since mail may wait at the next hop as well.
//! - Mail of a domain that signs and has no key at all waits: once it has gone out unsigned, and was refused for that or taken for
//!   forged, nothing brings it back, while a Secret is quickly put right. With one key of several, it goes out signed by that one.
//! - RSA keys have 2048 bits at least. RFC 8301 lets signers use 1024, which is broken too cheaply by now.
//! - The signing is ours, since no library at hand does it: mail-auth 0.15 needs a newer Rust than this workspace's, brings a second copy
//!   of the C library under our cryptography, takes a bare CR or LF for a line's end, and seals no header field against
//!   another of its name. The cryptography itself is aws-lc-rs, which TLS uses.

pub mod canonical;
pub mod header;
mod key;
mod keys;
mod signing;
pub mod tool;

pub use key::{Key, KeyFault, NewKey};
pub use keys::{Keys, NoKey, Signer};
pub use signing::Signing;

/// How the name of a key's file ends, in a Secret and elsewhere; before it stands the selector.
pub const KEY_FILE: &str = ".key";
