//! Where mail goes: from a recipient's domain to the hosts to try.
//!
//! - [`table`]: the routes of the manifest, first match by recipient domain (pure);
//! - [`hop`]: the next hop and its name in the Monitor (pure);
//! - [`way`]: what a route says of how mail leaves (pure);
//! - [`terms`]: which addresses may be tried (pure);
//! - [`order`]: which exchanger and which address is tried first (pure);
//! - [`proof`]: what answers are worth where DNSSEC is asked for (pure);
//! - [`resolver`]: the questions to the DNS, and what the answers mean;
//! - [`servers`]: whom to ask.

mod error;
mod hop;
mod order;
mod proof;
mod resolver;
mod servers;
mod table;
mod terms;
mod way;

pub use error::{RouteCode, RouteError};
pub use hickory_resolver::proto::dnssec::TrustAnchors;
pub use hop::NextHop;
pub use order::{Target, next_race};
pub use resolver::Resolver;
pub use servers::ResolverSource;
pub use table::Routes;
pub use terms::{Terms, listens_at};
pub use way::{Way, local_address};
