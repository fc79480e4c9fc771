//! What a record's payload says: a message (its head and, when small, its text) or a mark. Pure octets, no I/O.
//!
//! A message's payload is the length of its head (4 octets, little-endian), the head, and then the text itself, unless the
//! head says that the text has a file of its own. A later format changes the record's format number; older ones stay
//! readable. Format 2 differs from 1 in that a message has [`Extras`]; a message without them is written in format 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::codec::{Malformed, Octets, put_number, put_octets, put_text, put_text_cut, put_time};
use super::extras::{Extras, extras, put_extras};
use super::message::{
    At, Client, Deferral, Draft, ERROR_TEXT_MAX, Envelope, LastError, MessageId, Outcome, Pending, Told,
};

/// The file that holds a large text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileRef {
    pub(super) number: u64,
    pub(super) crc: u32,
}

/// What compaction adds when it copies a message: where from, and the recipients that are not done, with their state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MovedPart {
    pub(super) from: At,
    pub(super) pending: Vec<Pending>,
}

/// A message record's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) envelope: Envelope,
    pub(super) file: Option<FileRef>,
    pub(super) moved: Option<MovedPart>,
}

const EIGHT_BIT: u64 = 1;
const IN_FILE: u64 = 2;
const MOVED: u64 = 4;
const EXTRAS: u64 = 8;

/// Octets of the head's length in front of it.
const LEN: usize = 4;

/// Puts length and head of a new message to `out`; the text, when it has no file, goes right behind.
pub(super) fn put_draft(out: &mut Vec<u8>, draft: &Draft, size: u64, file: Option<FileRef>) {
    with_length(out, |out| {
        put_number(out, flags(draft.eight_bit, file.is_some(), false, draft.extras.is_some()));
        put_common(out, &draft.sender, &draft.recipients, &draft.client, draft.received_at, size, file);
        put_extras_of(out, draft.extras.as_deref());
    });
}

/// Puts length and head of a message that compaction moves.
pub(super) fn put_moved(out: &mut Vec<u8>, envelope: &Envelope, file: Option<FileRef>, moved: &MovedPart) {
    with_length(out, |out| {
        put_number(out, flags(envelope.eight_bit, file.is_some(), true, envelope.extras.is_some()));
        let Envelope { sender, recipients, client, received_at, size, .. } = envelope;
        put_common(out, sender, recipients, client, *received_at, *size, file);
        put_extras_of(out, envelope.extras.as_deref());
        put_at(out, moved.from);
        put_number(out, moved.pending.len() as u64);
        for pending in &moved.pending {
            put_number(out, pending.recipient.into());
            match (pending.due, &pending.error) {
                (Some(due), Some(error)) => {
                    put_told(out, 1, 2, pending.told);
                    put_deferral(out, pending.attempts, due, error);
                }
                _ => out.push(0),
            }
        }
    });
}

fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LEN]);
    put(out);
    let len = (out.len() - start - LEN) as u32;
    if let Some(place) = out.get_mut(start..start + LEN) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

fn flags(eight_bit: bool, in_file: bool, moved: bool, extras: bool) -> u64 {
    u64::from(eight_bit) * EIGHT_BIT
        + u64::from(in_file) * IN_FILE
        + u64::from(moved) * MOVED
        + u64::from(extras) * EXTRAS
}

fn put_extras_of(out: &mut Vec<u8>, extras: Option<&Extras>) {
    if let Some(extras) = extras {
        put_extras(out, extras);
    }
}

/// The format of a message's payload, as its flags tell: 2 where extensions ask for something, else 1.
pub(super) fn format(payload: &[u8]) -> u8 {
    let flags = Octets(payload.get(LEN..).unwrap_or_default()).number().unwrap_or(0);
    if flags & EXTRAS == 0 { 1 } else { 2 }
}

fn put_common(
    out: &mut Vec<u8>,
    sender: &str,
    recipients: &[String],
    client: &Client,
    received_at: jiff::Timestamp,
    size: u64,
    file: Option<FileRef>,
) {
    put_time(out, received_at);
    put_text(out, sender);
    put_number(out, recipients.len() as u64);
    recipients.iter().for_each(|recipient| put_text(out, recipient));
    put_client(out, client);
    put_number(out, size);
    if let Some(file) = file {
        put_number(out, file.number);
        out.extend_from_slice(&file.crc.to_le_bytes());
    }
}

fn put_client(out: &mut Vec<u8>, client: &Client) {
    match client.address {
        None => put_octets(out, &[]),
        Some(address) => {
            match address.ip() {
                IpAddr::V4(ip) => put_octets(out, &ip.octets()),
                IpAddr::V6(ip) => put_octets(out, &ip.octets()),
            }
            put_number(out, address.port().into());
        }
    }
    put_text(out, &client.helo);
    put_text(out, &client.session);
}

fn client(from: &mut Octets<'_>) -> Result<Client, Malformed> {
    let ip: Option<IpAddr> = match from.octets()? {
        [] => None,
        octets => match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
            (Ok(four), _) => Some(Ipv4Addr::from(four).into()),
            (_, Ok(sixteen)) => Some(Ipv6Addr::from(sixteen).into()),
            _ => return Err(Malformed),
        },
    };
    let address = match ip {
        Some(ip) => Some(SocketAddr::new(ip, from.small()?)),
        None => None,
    };
    Ok(Client { address, helo: from.text()?, session: from.text()? })
}

fn put_at(out: &mut Vec<u8>, at: At) {
    put_number(out, at.segment.into());
    put_number(out, at.offset.into());
}

fn at(from: &mut Octets<'_>) -> Result<At, Malformed> {
    Ok(At { segment: from.small()?, offset: from.small()? })
}

/// What kind of state follows: `plain`, or `told` with what the sender was told, which few are.
fn put_told(out: &mut Vec<u8>, plain: u8, told: u8, what: Told) {
    if what == Told::NOTHING {
        out.push(plain);
    } else {
        out.extend_from_slice(&[told, what.bits()]);
    }
}

fn told(from: &mut Octets<'_>) -> Result<Told, Malformed> {
    Told::from_bits(from.octet()?).ok_or(Malformed)
}

fn put_deferral(out: &mut Vec<u8>, attempts: u32, due: jiff::Timestamp, error: &LastError) {
    put_number(out, attempts.into());
    put_time(out, due);
    put_text_cut(out, &error.code, ERROR_TEXT_MAX);
    put_text_cut(out, &error.text, ERROR_TEXT_MAX);
    put_time(out, error.at);
}

fn deferral(from: &mut Octets<'_>, told: Told) -> Result<Deferral, Malformed> {
    let attempts = from.small()?;
    let due = from.time()?;
    let error = LastError { code: from.text()?, text: from.text()?, at: from.time()? };
    Ok(Deferral { attempts, due, error, told })
}

impl Head {
    /// Reads the head of a message's payload; returns it with the octets it took (the text is behind them).
    pub(super) fn decode(id: MessageId, payload: &[u8]) -> Result<(Self, usize), Malformed> {
        let mut from = Octets(payload);
        let len = u32::from_le_bytes(from.array()?) as usize;
        let mut from = Octets(from.take(len)?);
        let flags = from.number()?;
        let received_at = from.time()?;
        let sender = from.text()?;
        let count = from.count()?;
        let recipients = (0..count).map(|_| from.text()).collect::<Result<Vec<_>, _>>()?;
        let client = client(&mut from)?;
        let size = from.number()?;
        let file = match flags & IN_FILE {
            0 => None,
            _ => Some(FileRef { number: from.number()?, crc: u32::from_le_bytes(from.array()?) }),
        };
        let extras = match flags & EXTRAS {
            0 => None,
            _ => Some(Box::new(extras(&mut from)?)),
        };
        let moved = match flags & MOVED {
            0 => None,
            _ => {
                let origin = at(&mut from)?;
                let count = from.count()?;
                let pending = (0..count).map(|_| pending(&mut from)).collect::<Result<_, _>>()?;
                Some(MovedPart { from: origin, pending })
            }
        };
        let eight_bit = flags & EIGHT_BIT != 0;
        let envelope = Envelope { id, received_at, sender, recipients, eight_bit, extras, size, client };
        Ok((Self { envelope, file, moved }, LEN + len))
    }
}

fn pending(from: &mut Octets<'_>) -> Result<Pending, Malformed> {
    let recipient = from.small()?;
    match from.octet()? {
        0 => Ok(Pending::untried(recipient)),
        1 => Ok(Pending::deferred(recipient, deferral(from, Told::NOTHING)?)),
        2 => {
            let told = told(from)?;
            Ok(Pending::deferred(recipient, deferral(from, told)?))
        }
        _ => Err(Malformed),
    }
}

/// A mark as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredMark {
    /// The message's record when the mark was written.
    pub(super) target: At,
    /// The last mark before this one that deferred a recipient of the message. So the state of a deferred message can be
    /// read from the log when it is needed, which is seldom, instead of being kept in memory, which is always.
    pub(super) previous: Option<At>,
    pub(super) outcomes: Vec<(u16, Outcome)>,
}

/// Octets that one outcome in a mark takes at most: numbers, times, and the two texts of an error.
pub(super) const OUTCOME_MAX: usize = 2 * ERROR_TEXT_MAX + 40;

/// Puts a mark: see [`StoredMark`].
pub(super) fn put_mark(out: &mut Vec<u8>, target: At, previous: Option<At>, outcomes: &[(u16, Outcome)]) {
    put_at(out, target);
    // Segments are numbered from 1.
    put_at(out, previous.unwrap_or(At { segment: 0, offset: 0 }));
    put_number(out, outcomes.len() as u64);
    for (recipient, outcome) in outcomes {
        put_number(out, (*recipient).into());
        match outcome {
            Outcome::Delivered => out.push(1),
            Outcome::Failed => out.push(2),
            Outcome::Removed => out.push(3),
            Outcome::Deferred(Deferral { attempts, due, error, told }) => {
                put_told(out, 4, 5, *told);
                put_deferral(out, *attempts, *due, error);
            }
        }
    }
}

impl StoredMark {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Octets(payload);
        let target = at(&mut from)?;
        let previous = Some(at(&mut from)?).filter(|at| at.segment != 0);
        let count = from.count()?;
        let mut outcome = || {
            let recipient = from.small()?;
            let outcome = match from.octet()? {
                1 => Outcome::Delivered,
                2 => Outcome::Failed,
                3 => Outcome::Removed,
                4 => Outcome::Deferred(deferral(&mut from, Told::NOTHING)?),
                5 => {
                    let told = told(&mut from)?;
                    Outcome::Deferred(deferral(&mut from, told)?)
                }
                _ => return Err(Malformed),
            };
            Ok((recipient, outcome))
        };
        let outcomes = (0..count).map(|_| outcome()).collect::<Result<_, _>>()?;
        Ok(Self { target, previous, outcomes })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::spool::extras::tests::any_extras;

    fn time() -> impl Strategy<Value = Timestamp> {
        (0i64..4_000_000_000_000_000).prop_map(|micros| Timestamp::from_microsecond(micros).unwrap())
    }

    fn error() -> impl Strategy<Value = LastError> {
        (".{0,20}", ".{0,60}", time()).prop_map(|(code, text, at)| LastError { code, text, at })
    }

    fn deferral() -> impl Strategy<Value = Deferral> {
        (any::<u32>(), time(), error(), 0u8..4).prop_map(|(attempts, due, error, told)| Deferral {
            attempts,
            due,
            error,
            told: Told::from_bits(told).unwrap(),
        })
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Delivered),
            Just(Outcome::Failed),
            Just(Outcome::Removed),
            deferral().prop_map(Outcome::Deferred),
        ]
    }

    fn at() -> impl Strategy<Value = At> {
        (1u32.., any::<u32>()).prop_map(|(segment, offset)| At { segment, offset })
    }

    fn address() -> impl Strategy<Value = Option<SocketAddr>> {
        prop_oneof![
            Just(None),
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| Some((ip, port).into())),
            (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| Some((ip, port).into())),
        ]
    }

    fn draft() -> impl Strategy<Value = Draft> {
        let client =
            (address(), ".{0,9}", ".{0,9}").prop_map(|(address, helo, session)| Client { address, helo, session });
        let extras = prop::option::of(any_extras().prop_map(Box::new));
        (time(), ".{0,30}", prop::collection::vec(".{0,30}", 0..5), any::<bool>(), extras, client).prop_map(
            |(received_at, sender, recipients, eight_bit, extras, client)| Draft {
                received_at,
                sender,
                recipients,
                eight_bit,
                extras,
                client,
                ..Draft::default()
            },
        )
    }

    fn file() -> impl Strategy<Value = Option<FileRef>> {
        prop::option::of((any::<u64>(), any::<u32>()).prop_map(|(number, crc)| FileRef { number, crc }))
    }

    proptest! {
        #[test]
        fn an_envelope_is_read_back_as_it_was(draft in draft(), size in any::<u64>(), file in file(), text in prop::collection::vec(any::<u8>(), 0..30)) {
            let id = MessageId::from_u64(5);
            let mut payload = Vec::new();
            put_draft(&mut payload, &draft, size, file);
            let head_len = payload.len();
            payload.extend_from_slice(&text);
            let (head, taken) = Head::decode(id, &payload).unwrap();
            prop_assert_eq!(taken, head_len);
            prop_assert_eq!(format(&payload), if draft.extras.is_some() { 2 } else { 1 });
            let Draft { received_at, sender, recipients, eight_bit, extras, client, .. } = draft;
            prop_assert_eq!(head, Head { envelope: Envelope { id, received_at, sender, recipients, eight_bit, extras, size, client }, file, moved: None });
        }

        #[test]
        fn a_moved_message_keeps_the_state_of_its_recipients(draft in draft(), file in file(), from in at(), states in prop::collection::vec((any::<u16>(), prop::option::of(deferral())), 0..5)) {
            let mut payload = Vec::new();
            put_draft(&mut payload, &draft, 9, file);
            let (head, _) = Head::decode(MessageId::from_u64(5), &payload).unwrap();
            let pending = states.into_iter().map(|(r, d)| match d { Some(d) => Pending::deferred(r, d), None => Pending::untried(r) }).collect();
            let moved = MovedPart { from, pending };
            let mut again = Vec::new();
            put_moved(&mut again, &head.envelope, file, &moved);
            let (copy, _) = Head::decode(MessageId::from_u64(5), &again).unwrap();
            prop_assert_eq!(copy, Head { moved: Some(moved), ..head });
        }

        #[test]
        fn a_mark_is_read_back_as_it_was(target in at(), previous in prop::option::of(at()), outcomes in prop::collection::vec((any::<u16>(), outcome()), 0..6)) {
            let mut payload = Vec::new();
            put_mark(&mut payload, target, previous, &outcomes);
            prop_assert!(payload.len() <= 25 + OUTCOME_MAX * outcomes.len());
            prop_assert_eq!(StoredMark::decode(&payload), Ok(StoredMark { target, previous, outcomes }));
        }

        #[test]
        fn no_octets_can_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Head::decode(MessageId::from_u64(1), &octets);
            let _ = StoredMark::decode(&octets);
        }
    }
}
