//! Ways in which mail gets stuck, each made with real parts, and what has to be seen of each.
//!
//! - [`row`]: what a row says: how its fault is made, and what is seen of it; [`table`]: all rows;
//! - [`world`]: what they run in: a network, a DNS server, hosts, relays; [`make`]: how a fault begins and ends there;
//! - [`peer`]: a host with one fault, where no real one has it; [`refusing`]: a real Postfix that refuses;
//! - [`inbox`]: where the mail arrives that is in order;
//! - [`watch`]: the Monitor, against what a row wants to see;
//! - [`run`]: all rows from their beginning to their end;
//! - [`page`]: what was seen, as `docs/troubleshooting.md`; [`stable`]: its texts, the same after every run;
//! - [`compare`]: what Postfix says of the same faults; [`beside`]: both, as `docs/postfix.md`;
//! - [`latency`]: how long it takes till a fault is seen.

pub mod beside;
pub mod compare;
pub mod inbox;
pub mod latency;
pub mod make;
pub mod page;
pub mod peer;
pub mod refusing;
pub mod row;
pub mod run;
pub mod stable;
pub mod table;
pub mod watch;
pub mod world;
