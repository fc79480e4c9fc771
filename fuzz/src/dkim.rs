//! Of DKIM, what reads messages; the cryptography gets only what this makes of them.

#[path = "../../relay/src/dkim/canonical.rs"]
pub mod canonical;
#[path = "../../relay/src/dkim/header.rs"]
pub mod header;
