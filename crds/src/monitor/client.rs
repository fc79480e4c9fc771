//! Clients in the Monitor: who hands mail in, how much of it was taken and refused, and why the last of it was refused.

use std::{cmp::Reverse, fmt};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::Code;

/// Characters of a client's name, of a sender and of a recipient.
pub const NAME: usize = 320;
/// Characters of a text about a refusal.
pub const TEXT: usize = 256;

/// How old a refusal may be that is still told of without being asked for.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// One client's row in the Monitor: since the relay's process started, or since the client was forgotten for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientRow {
    /// Who it is: a service account as `namespace/name`, a user, a name that its certificate bears, or its address. Of IPv6 addresses
    /// that may not relay, the /64.
    #[schemars(length(max = 320))]
    pub client: String,
    /// What it is known by.
    pub kind: ClientKind,
    /// Whether an entry of `clients` fits it, as far as it has shown who it is: nobody may relay who is not listed.
    pub listed: bool,
    /// Messages that were taken from it.
    pub accepted: u64,
    /// Commands and messages of it that were refused.
    pub refused: u64,
    /// When it last came in, or had a message taken or refused.
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub last_seen: Timestamp,
    /// When a message of it was taken last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub last_accepted: Option<Timestamp>,
    /// What was refused last, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<Refusal>,
}

/// What a client is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ClientKind {
    /// A token of its service account.
    ServiceAccount,
    /// A password.
    User,
    /// A certificate.
    Certificate,
    /// Where it comes from, and nothing else.
    Address,
}

/// A command or a message that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// When it was refused.
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub at: Timestamp,
    /// The reply's code: `550 5.7.1`.
    #[schemars(with = "String", length(max = 32))]
    pub code: Code,
    /// What was refused.
    pub stage: ClientStage,
    /// The reply's text; at most 256 characters.
    #[schemars(length(max = 256))]
    pub text: String,
    /// What the client was not told of the reason; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub why: Option<String>,
    /// The address that the client came from.
    #[schemars(length(max = 64))]
    pub address: String,
    /// The envelope's sender, where it was known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub sender: Option<String>,
    /// The recipient that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub recipient: Option<String>,
}

/// What of a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ClientStage {
    /// The connection.
    Connect,
    /// A command that is none of those below.
    Command,
    /// STARTTLS.
    StartTls,
    /// AUTH: what it shows to say who it is.
    Auth,
    /// MAIL FROM: the sender.
    MailFrom,
    /// RCPT TO: a recipient.
    RcptTo,
    /// DATA or BDAT, before the text.
    Data,
    /// The text.
    Body,
}

impl fmt::Display for Refusal {
    /// On one line: `550 5.7.1 at RcptTo: <a@b.test> is not a sender …`, with what the client was not told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { code, stage, text, why, .. } = self;
        write!(f, "{code} at {stage:?}: {text}")?;
        why.iter().try_for_each(|why| write!(f, " ({why})"))
    }
}

impl ClientRow {
    /// The order of rows: those that were refused most recently first, then the others by name.
    #[must_use]
    pub fn order(&self) -> impl Ord + '_ {
        (Reverse(self.last_refusal.as_ref().map(|refusal| refusal.at)), self.kind, self.client.as_str())
    }
}

/// The clients that something was refused within the last day, with that.
pub fn refused_lately(rows: &[ClientRow], now: Timestamp) -> impl Iterator<Item = (&ClientRow, &Refusal)> + Clone {
    let refused = rows.iter().filter_map(|row| Some((row, row.last_refusal.as_ref()?)));
    refused.filter(move |(_, refusal)| refusal.at.duration_until(now) < LATELY)
}

/// At most so many of the rows, in their order, and how many are left out. Those that are not listed get half of the places at most, so
/// that strangers, however many there are, take none from those who may relay.
#[must_use]
pub fn foremost(mut rows: Vec<ClientRow>, most: usize) -> (Vec<ClientRow>, u32) {
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    let all = rows.len();
    let (mut places, mut strangers) = (most, most.div_ceil(2));
    rows.retain(|row| {
        let room = places > 0 && (row.listed || strangers > 0);
        if room {
            places -= 1;
            strangers -= usize::from(!row.listed);
        }
        room
    });
    let left_out = u32::try_from(all - rows.len()).unwrap_or(u32::MAX);
    (rows, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ReplyCode;

    fn row(client: &str, listed: bool, refused_at: Option<i64>) -> ClientRow {
        let refusal = |second| Refusal {
            at: Timestamp::from_second(second).unwrap(),
            code: ReplyCode::new(535, Some((7, 8))).into(),
            stage: ClientStage::Auth,
            text: "Authentication failed".into(),
            why: Some("the token is not good".into()),
            address: "192.0.2.1".into(),
            sender: None,
            recipient: None,
        };
        ClientRow {
            client: client.into(),
            kind: ClientKind::Address,
            listed,
            accepted: 0,
            refused: 0,
            last_seen: Timestamp::UNIX_EPOCH,
            last_accepted: None,
            last_refusal: refused_at.map(refusal),
        }
    }

    #[test]
    fn those_refused_last_come_first_and_strangers_take_no_more_than_half_of_the_places() {
        let mut rows: Vec<_> =
            (0..50).map(|number| row(&format!("stranger {number}"), false, Some(100 + number))).collect();
        rows.extend([row("well", true, None), row("also well", true, None), row("refused", true, Some(7))]);
        for (most, wanted) in [
            (0, vec![]),
            (1, vec!["stranger 49"]),
            (4, vec!["stranger 49", "stranger 48", "refused", "also well"]),
            (8, vec!["stranger 49", "stranger 48", "stranger 47", "stranger 46", "refused", "also well", "well"]),
        ] {
            let (shown, left_out) = foremost(rows.clone(), most);
            assert_eq!(shown.iter().map(|row| row.client.as_str()).collect::<Vec<_>>(), wanted);
            assert_eq!(shown.len() + left_out as usize, rows.len());
        }
    }

    #[test]
    fn a_refusal_is_told_on_one_line_with_what_the_client_was_not_told() {
        let refusal = row("a", true, Some(1)).last_refusal.unwrap();
        assert_eq!(refusal.to_string(), "535 5.7.8 at Auth: Authentication failed (the token is not good)");
        assert_eq!(Refusal { why: None, ..refusal }.to_string(), "535 5.7.8 at Auth: Authentication failed");
    }
}
