//! The state of a message's recipients, read back from the log: when each is due, and what went wrong.
//!
//! Each mark that defers a recipient points to the one before it for the same message, so following them from the last one
//! gives the newest state of every recipient, without a thing kept in memory but that last place.

use super::error::SpoolError;
use super::message::{At, MessageId, Outcome, Pending};
use super::payload::StoredMark;
use super::recipients::RecipientSet;
use super::record::Kind;
use super::shared::Shared;

/// The state of each recipient in `pending` of the message whose record is `at`. What no mark tells is in `base` (the state
/// that came with the record), or was never tried. Waits for the disk.
///
/// A mark that cannot be read ends the search: those recipients are tried at once, which loses nothing.
pub(super) fn gather(
    shared: &Shared,
    id: MessageId,
    at: At,
    pending: &RecipientSet,
    base: &[Pending],
    last: Option<At>,
) -> Vec<Pending> {
    let mut missing = pending.clone();
    let mut found: Vec<Pending> = Vec::new();
    let mut next = last;
    while let Some(mark_at) = next.filter(|mark_at| *mark_at > at && !missing.is_empty()) {
        let Ok(mark) = read_mark(shared, id, mark_at) else { break };
        // The later outcome of a recipient counts, so the last one is looked at first.
        for (recipient, outcome) in mark.outcomes.into_iter().rev() {
            if let Outcome::Deferred(deferral) = outcome
                && missing.contains(recipient)
            {
                missing.remove(recipient);
                found.push(Pending::deferred(recipient, deferral));
            }
        }
        // Marks point backwards only; what does not is not believed, or a damaged one could make a ring.
        next = mark.previous.filter(|previous| *previous < mark_at);
    }
    for recipient in missing.iter() {
        let known = base.iter().find(|known| known.recipient == recipient).cloned();
        found.push(known.unwrap_or_else(|| Pending::untried(recipient)));
    }
    found.sort_by_key(|pending| pending.recipient);
    found
}

fn read_mark(shared: &Shared, id: MessageId, at: At) -> Result<StoredMark, SpoolError> {
    let segment = shared.segment(at.segment).ok_or(SpoolError::Gone(id))?;
    let (header, payload) = segment.read_record(at.offset, None)?;
    if header.id != id || header.kind != Kind::Mark {
        return Err(segment.damaged(at.offset, Some(id), "another record is in the place of a mark"));
    }
    StoredMark::decode(&payload).map_err(|_| segment.damaged(at.offset, Some(id), "the mark cannot be read"))
}
