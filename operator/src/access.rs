//! The status of an SMTPAccess: whether its relay lets the service accounts in, and if not, what to write instead.

use jiff::Timestamp;
use mailsluice_crds::{
    SMTPAccessStatus,
    access::{Place, Verdict},
};

use crate::status::transition::{self, Finding};

/// What the relay that is asked says.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It was judged.
    Judged(Verdict),
    /// There is no such relay.
    NoRelay,
    /// It is where the operator does not look: it looks at this namespace alone.
    Unseen(String),
}

/// Draws the status.
#[must_use]
pub fn draw(
    relay: &Place,
    answer: Answer,
    generation: Option<i64>,
    before: &SMTPAccessStatus,
    now: Timestamp,
) -> SMTPAccessStatus {
    let finding = match answer {
        Answer::Judged(Ok(_)) => Finding::yes("Accepted", format!("SMTPRelay {relay} lets the service accounts in")),
        Answer::Judged(Err(refusal)) => Finding::no(refusal.reason(), refusal.to_string()),
        Answer::NoRelay => Finding::no(
            "RelayNotFound",
            format!(
                "there is no SMTPRelay {relay}: write the name of one into `relayRef`, and its namespace where it is another"
            ),
        ),
        Answer::Unseen(watched) => Finding::unknown(
            "RelayNotSeen",
            format!(
                "the operator looks at namespace {watched} alone, and not at SMTPRelay {relay}: have an entry written into its `clients`"
            ),
        ),
    };
    let conditions = transition::settle("Accepted", Some(finding), &before.conditions, generation, now);
    SMTPAccessStatus { observed_generation: generation, conditions: conditions.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::{access::Refusal, relay::Client};

    use super::*;

    #[test]
    fn the_status_says_who_is_let_in_and_what_to_write_where_nobody_is() {
        let relay = Place::new(Some("mail".into()), "outbound");
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let mut status = SMTPAccessStatus::default();
        for (answer, is, reason, says) in [
            (Answer::NoRelay, "False", "RelayNotFound", "no SMTPRelay mail/outbound: write"),
            (Answer::Judged(Ok(Client::default())), "True", "Accepted", "mail/outbound lets the service accounts in"),
            (
                Answer::Judged(Err(Refusal::NobodyMayAsk(relay.clone()))),
                "False",
                "NotAllowed",
                "its owner writes `access`",
            ),
            (Answer::Unseen("shop".into()), "Unknown", "RelayNotSeen", "namespace shop alone"),
        ] {
            status = draw(&relay, answer.clone(), Some(4), &status, now);
            assert_eq!(draw(&relay, answer, Some(4), &status, now), status, "it does not tick");
            let [accepted] = &status.conditions[..] else { panic!("{status:?}") };
            assert_eq!((&*accepted.type_, &*accepted.status, &*accepted.reason), ("Accepted", is, reason));
            assert!(accepted.message.contains(says), "{}", accepted.message);
            assert_eq!((status.observed_generation, accepted.observed_generation), (Some(4), Some(4)));
        }
    }
}
