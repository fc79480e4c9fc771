//! Messages that wait in one spool and are stored in another.

use super::*;
use crate::spool::Waiting;

/// What a spool holds with a message of which one recipient is done, one is deferred, and one was never tried.
fn giver() -> (Recovered, Vec<u8>) {
    let disk = SimDisk::new(1);
    let (mut spool, _, _) = Stepped::recover(&disk);
    let text = b"Subject: one\r\n\r\ntext\r\n".to_vec();
    let stored = spool.append(draft("a@example.org", 3), &text).unwrap();
    spool.mark(stored, &[(0, Outcome::Delivered), (2, deferred(4, "later"))]);
    spool.close().unwrap();
    let (_, mut found, _) = Stepped::recover(&disk);
    (found.pop().unwrap(), text)
}

fn take(spool: &mut Stepped, found: &Recovered, text: &[u8]) -> Stored {
    let (body, handle) = (spool.body(text).unwrap(), spool.spool.clone());
    let waiting = Waiting::of(found);
    let mut future: Appending = Box::pin(async move { handle.append_waiting(&waiting, body).await });
    assert!(poll(&mut future).is_pending());
    spool.turn();
    match poll(&mut future) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("it was not answered"),
    }
}

#[test]
fn a_message_keeps_its_id_and_state_in_the_spool_that_takes_it_over_restarts_and_compaction() {
    let (given, text) = giver();
    let disk = SimDisk::new(2);
    let (mut spool, _, _) = Stepped::recover(&disk);
    let stored = take(&mut spool, &given, &text);
    assert_eq!(stored.id, given.envelope.id);
    let as_given = |found: &Recovered| {
        let (envelope, pending) = Waiting::of(&given).into_parts();
        assert_eq!((&found.envelope, &found.pending), (&envelope, &pending));
    };
    spool.close().unwrap();
    let (mut spool, found, _) = Stepped::recover(&disk);
    assert_eq!(found.len(), 1);
    as_given(&found[0]);
    assert_eq!(spool.text(found[0].location).unwrap(), text);
    // Compaction moves it on, since all around it is done.
    spool.churn(400);
    spool.close().unwrap();
    let (mut spool, found, _) = Stepped::recover(&disk);
    assert_eq!(found.len(), 1);
    as_given(&found[0]);
    assert_eq!(spool.text(found[0].location).unwrap(), text);
    let here = Stored { id: found[0].envelope.id, location: found[0].location };
    spool.mark(here, &[(0, Outcome::Delivered), (1, deferred(5, "later still"))]);
    spool.close().unwrap();
    let (mut spool, found, _) = Stepped::recover(&disk);
    assert_eq!(found[0].pending.len(), 1);
    assert_eq!((found[0].pending[0].recipient, found[0].pending[0].attempts), (1, 5));
    let here = Stored { id: found[0].envelope.id, location: found[0].location };
    spool.mark(here, &[(1, Outcome::Removed)]);
    spool.close().unwrap();
    let (_, found, _) = Stepped::recover(&disk);
    assert_eq!(found, []);
}

#[test]
fn an_id_that_another_spool_gave_is_not_given_again() {
    let (given, text) = giver();
    let (mut spool, _, _) = Stepped::recover(&SimDisk::new(3));
    take(&mut spool, &given, &text);
    let before = given.envelope.id;
    let next = spool.append(draft("a@example.org", 1), b"x").unwrap();
    assert!(next.id > before, "{} after {before}", next.id);
}
