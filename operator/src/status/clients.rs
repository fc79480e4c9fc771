//! What of the clients' rows is worth a write of its own: who is refused what. Counts change with every message, and so does the moment
//! of a refusal that is tried again and again: they go along with other writes, and repeats once a minute.

use std::collections::HashMap;

use jiff::SignedDuration;
use mailsluice_crds::{
    SMTPRelayStatus,
    monitor::{ClientKind, ClientRow, Refusal},
};

/// How much older than the truth the stored moment of a refusal may be, where it is the same refusal.
const REPEATS: SignedDuration = SignedDuration::from_mins(1);

/// Whether the statuses differ in their clients' rows alone, and there in nothing that is news.
pub(super) fn differ_without_news(stored: &SMTPRelayStatus, drawn: &SMTPRelayStatus) -> bool {
    let like_stored = SMTPRelayStatus {
        clients: stored.clients.clone(),
        clients_not_shown: stored.clients_not_shown,
        ..drawn.clone()
    };
    *stored == like_stored && !are_news(&stored.clients, &drawn.clients)
}

/// Whether somebody is refused who was not, or refused something else, or is no longer among those who are.
fn are_news(stored: &[ClientRow], drawn: &[ClientRow]) -> bool {
    let (known, now) = (refused(stored), refused(drawn));
    known.len() != now.len()
        || now.iter().any(|(client, refusal)| known.get(client).is_none_or(|known| !is_repeat(known, refusal)))
}

fn refused(rows: &[ClientRow]) -> HashMap<(ClientKind, &str), &Refusal> {
    rows.iter().filter_map(|row| Some(((row.kind, row.client.as_str()), row.last_refusal.as_ref()?))).collect()
}

/// Of the same refusal the text may differ: it names senders, recipients and times to wait.
fn is_repeat(known: &Refusal, refusal: &Refusal) -> bool {
    (&known.code, known.stage) == (&refusal.code, refusal.stage) && known.at.duration_until(refusal.at) < REPEATS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use mailsluice_crds::{
        catalogue::ReplyCode,
        monitor::{ClientStage, QueueTotals},
    };

    use super::super::pacing::{Pace, decide};
    use super::*;

    fn row(client: &str, accepted: u64, refused: Option<(i64, u16)>) -> ClientRow {
        let refusal = |(second, code)| Refusal {
            at: Timestamp::from_second(second).unwrap(),
            code: ReplyCode::new(code, None).into(),
            stage: ClientStage::RcptTo,
            text: format!("at {second}"),
            why: None,
            address: "192.0.2.1".into(),
            sender: None,
            recipient: None,
        };
        ClientRow {
            client: client.into(),
            kind: ClientKind::User,
            listed: true,
            accepted,
            refused: accepted,
            last_seen: Timestamp::UNIX_EPOCH,
            last_accepted: None,
            last_refusal: refused.map(refusal),
        }
    }

    fn status(clients: Vec<ClientRow>, messages: u64) -> SMTPRelayStatus {
        let queue = Some(QueueTotals { messages, ..QueueTotals::default() });
        SMTPRelayStatus { clients, clients_not_shown: 3, queue, ..SMTPRelayStatus::default() }
    }

    #[test]
    fn who_is_refused_what_is_written_and_counts_wait_for_another_reason() {
        let stored = status(vec![row("app", 1, Some((100, 550))), row("well", 1, None)], 5);
        let later = Duration::from_secs(600);
        for (what, clients, messages, pace) in [
            ("counts", vec![row("app", 2, Some((100, 550))), row("well", 9, None)], 5, Pace::Nothing),
            ("a client that is well", vec![row("app", 1, Some((100, 550))), row("new", 1, None)], 5, Pace::Nothing),
            ("the same again", vec![row("app", 1, Some((159, 550)))], 5, Pace::Nothing),
            ("the same for a minute", vec![row("app", 1, Some((160, 550)))], 5, Pace::Now),
            ("refused for another reason", vec![row("app", 1, Some((101, 535)))], 5, Pace::Now),
            (
                "another one refused",
                vec![row("app", 1, Some((100, 550))), row("well", 1, Some((1, 550)))],
                5,
                Pace::Now,
            ),
            ("one gone", vec![row("well", 1, None)], 5, Pace::Now),
            ("counts, and the queue", vec![row("app", 2, Some((100, 550))), row("well", 9, None)], 6, Pace::Now),
        ] {
            assert_eq!(decide(&stored, &status(clients, messages), Some(later)), pace, "{what}");
        }
        let other = SMTPRelayStatus { clients_not_shown: 4, ..stored.clone() };
        assert_eq!(decide(&stored, &other, Some(later)), Pace::Nothing, "how many others there are");
        let soon = Some(Duration::from_millis(500));
        let refused = status(vec![row("well", 1, Some((1, 550)))], 5);
        assert_eq!(
            decide(&stored, &refused, soon),
            Pace::In(Duration::from_millis(1_500)),
            "no sooner than anything else"
        );
    }

    #[test]
    fn a_client_that_is_refused_ten_times_a_second_costs_one_write_a_minute() {
        let (mut stored, mut writes) = (SMTPRelayStatus::default(), 0);
        for tenth in 0..6_000 {
            let drawn = SMTPRelayStatus {
                clients: vec![row("app", tenth, Some((i64::try_from(tenth / 10).unwrap(), 550)))],
                ..SMTPRelayStatus::default()
            };
            if decide(&stored, &drawn, None) == Pace::Now {
                (stored, writes) = (drawn, writes + 1);
            }
        }
        assert_eq!(writes, 10, "in ten minutes");
    }
}
