//! A relay that is scaled away hands its mail to its siblings: what it holds is taken on by those that stay, each message safe on a
//! sibling's disk before it is let go here, with its due times, attempts, order and all that its sender asked for.
//!
//! - [`place`]: whether this pod stays, and who its siblings are (pure);
//! - [`kinship`]: how siblings know each other;
//! - [`clocks`]: what is done where their clocks differ (pure);
//! - [`wire`]: a batch of messages as octets;
//! - [`give`]: the side that leaves; [`post`]: its requests;
//! - [`take`]: the side that stays.
//!
//! A relay that leaves starts over, without its listeners and its sessions: it reads its spool as a restart does, and what it finds
//! goes over HTTP to the siblings' port of the Monitor in place of the queue. So nothing is in anybody's hands meanwhile, what is
//! told of a message is what the disk holds, and a kill at any moment is a restart like any other.
//!
//! A message keeps its id. So a sibling that is given a message again, since the answer got lost, knows it as long as it waits there;
//! only where it has left already, or another sibling is given it, it may arrive twice. It is never lost.
//!
//! Over HTTP, not SMTP: what is handed over is not only mail but its state, which no command of SMTP has words for, and a private
//! extension would stand at a port that is open to clients.

pub mod clocks;
pub mod give;
pub mod kinship;
pub mod place;
mod post;
pub mod take;
mod wire;

use serde::{Deserialize, Serialize};

pub use give::Giver;
pub use kinship::Kinship;
pub use place::{Place, Siblings};
pub use take::{Offer, Taker};

/// Where a relay takes its siblings' mail.
pub const PATH: &str = "/handover";

/// What a sibling answers to a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The ids of those messages that are safe there.
    pub taken: Vec<String>,
    /// Why the others are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
