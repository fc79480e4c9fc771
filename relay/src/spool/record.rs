//! The frame of a record in a segment, and the head of a segment: pure octets, no I/O.
//!
//! A segment opens with a head of 64 octets (numbers little-endian):
//!
//! | octets | field |
//! | --- | --- |
//! | 8 | magic `MSLSPOOL` |
//! | 4 | format of the segment, 1 |
//! | 4 | number of the segment |
//! | 8 | salt: random, one for the whole spool, so that no text of a mail can look like a record |
//! | 8 | floor: every id given out before the segment was born is at most this |
//! | 28 | zero |
//! | 4 | CRC-32C of the above |
//!
//! A record is a header of 32 octets and its payload:
//!
//! | octets | field |
//! | --- | --- |
//! | 4 | marker: the low half of the salt |
//! | 4 | length of the payload |
//! | 1 | kind: 1 message, 2 moved message, 3 mark, 4 seal |
//! | 1 | format of the payload: 2 for a message of which SMTP extensions ask something, else 1 |
//! | 2 | zero |
//! | 4 | synced: how far this segment was synced when the record was written |
//! | 8 | id of the message |
//! | 4 | CRC-32C of the payload |
//! | 4 | CRC-32C of salt, segment, offset and the above |
//!
//! The payload's checksum is reckoned by the session that encodes it; the header's, which binds it to its place, by the writer.
//! `synced` tells a torn tail from damage: octets before it had reached the disk, so they cannot be what a power cut left.

use super::message::MessageId;

/// Octets of a segment's head.
pub(super) const SEGMENT_HEAD: usize = 64;
/// Octets of a record's header.
pub(super) const RECORD_HEAD: usize = 32;
/// The newest segment format that is written and read.
pub(super) const SEGMENT_FORMAT: u32 = 1;
/// The newest payload format that is written and read.
pub(super) const PAYLOAD_FORMAT: u8 = 2;

const MAGIC: &[u8; 8] = b"MSLSPOOL";

fn le32(octets: &[u8], at: usize) -> u32 {
    octets.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn le64(octets: &[u8], at: usize) -> u64 {
    octets.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) number: u32,
    pub(super) salt: u64,
    pub(super) floor: MessageId,
}

/// Why a segment's head cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHead {
    /// Written by a later version.
    Format(u32),
    /// Not what was written.
    Damaged,
}

impl SegmentHead {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let mut out = Vec::with_capacity(SEGMENT_HEAD);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.floor.get().to_le_bytes());
        let mut head = [0; SEGMENT_HEAD];
        for (to, from) in head.iter_mut().zip(out) {
            *to = from;
        }
        seal(&mut head);
        head
    }

    /// Reads a head; the format is looked at before the checksum, since a later format may keep it elsewhere.
    pub(super) fn decode(octets: &[u8; SEGMENT_HEAD]) -> Result<Self, BadHead> {
        if !octets.starts_with(MAGIC) {
            return Err(BadHead::Damaged);
        }
        let format = le32(octets, 8);
        let sound = crc32c::crc32c(octets.split_at(SEGMENT_HEAD - 4).0) == le32(octets, SEGMENT_HEAD - 4);
        // A damaged number must not send the reader looking for a version that never was: formats are few.
        if format > SEGMENT_FORMAT && (sound || format < 1000) {
            return Err(BadHead::Format(format));
        }
        if !sound || format == 0 {
            return Err(BadHead::Damaged);
        }
        Ok(Self { number: le32(octets, 12), salt: le64(octets, 16), floor: MessageId::from_u64(le64(octets, 24)) })
    }

    /// The four octets with which each record of the segment begins. Never zero, or unwritten room would be full of them.
    pub(super) fn marker(&self) -> [u8; 4] {
        (self.salt as u32 | 1).to_le_bytes()
    }
}

/// Puts the checksum of all that is before it into the last four octets.
fn seal(head: &mut [u8; SEGMENT_HEAD]) {
    let (body, check) = head.split_at_mut(SEGMENT_HEAD - 4);
    check.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message as it was accepted.
    Message,
    /// A message that compaction has copied from an older segment, or that came from another spool, with the state of its
    /// recipients.
    Moved,
    /// Outcomes for some recipients of a message.
    Mark,
    /// Nothing but its `synced`: written when the log comes to rest, so that damage before it is not taken for a torn tail.
    /// Recovery also covers with one what a power cut left unfinished between sound records.
    Seal,
}

impl Kind {
    fn octet(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Moved => 2,
            Self::Mark => 3,
            Self::Seal => 4,
        }
    }
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Of the payload.
    pub(super) format: u8,
    pub(super) len: u32,
    pub(super) synced: u32,
    pub(super) id: MessageId,
    pub(super) payload_crc: u32,
}

/// Why 32 octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRecord {
    /// Not what was written, or nothing was written.
    Damaged,
    /// Sound, but of a kind or format that only a later version knows.
    Unknown,
}

impl Header {
    /// Octets of header and payload.
    pub(super) fn total(&self) -> u64 {
        RECORD_HEAD as u64 + u64::from(self.len)
    }

    pub(super) fn encode(&self, segment: &SegmentHead, offset: u32) -> [u8; RECORD_HEAD] {
        let mut out = Vec::with_capacity(RECORD_HEAD);
        out.extend_from_slice(&segment.marker());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&[self.kind.octet(), self.format, 0, 0]);
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.id.get().to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let check = header_crc(segment, offset, &out);
        out.extend_from_slice(&check.to_le_bytes());
        let mut header = [0; RECORD_HEAD];
        for (to, from) in header.iter_mut().zip(out) {
            *to = from;
        }
        header
    }

    pub(super) fn decode(octets: &[u8; RECORD_HEAD], segment: &SegmentHead, offset: u32) -> Result<Self, BadRecord> {
        let (covered, check) = octets.split_at(RECORD_HEAD - 4);
        if !octets.starts_with(&segment.marker()) || header_crc(segment, offset, covered) != le32(check, 0) {
            return Err(BadRecord::Damaged);
        }
        let [_, _, _, _, _, _, _, _, kind, format, ..] = *octets;
        let known = match (kind, format) {
            (1, 1..=PAYLOAD_FORMAT) => Kind::Message,
            (2, 1..=PAYLOAD_FORMAT) => Kind::Moved,
            (3, 1) => Kind::Mark,
            (4, 1) => Kind::Seal,
            _ => return Err(BadRecord::Unknown),
        };
        Ok(Self {
            kind: known,
            format,
            len: le32(octets, 4),
            synced: le32(octets, 12),
            id: MessageId::from_u64(le64(octets, 16)),
            payload_crc: le32(octets, 24),
        })
    }
}

fn header_crc(segment: &SegmentHead, offset: u32, covered: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&segment.salt.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &segment.number.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    crc32c::crc32c_append(crc, covered)
}

/// What a walk through a segment's octets found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Each sound record: its offset and header.
    pub(super) records: Vec<(u32, Header)>,
    /// Each stretch that is no record though something was written there, as offset and length.
    pub(super) bad: Vec<(u32, u32)>,
    /// Where the last sound record ends; everything after it is zeros or bad.
    pub(super) end: u32,
    /// A sound record of a later version was met, at this offset.
    pub(super) unknown: Option<u32>,
}

/// Walks through a whole segment (its head included in `octets`), and past a stretch that is no record to the next that is.
pub(super) fn walk(octets: &[u8], segment: &SegmentHead) -> Walk {
    let mut walk = Walk { end: SEGMENT_HEAD as u32, ..Walk::default() };
    let mut at = SEGMENT_HEAD;
    while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
        match sound_record(rest, segment, at as u32) {
            Ok(header) => {
                walk.records.push((at as u32, header));
                at += header.total() as usize;
                walk.end = at as u32;
                continue;
            }
            Err(BadRecord::Unknown) => {
                walk.unknown = Some(at as u32);
                return walk;
            }
            Err(BadRecord::Damaged) => {}
        }
        let next = next_record(octets, segment, at + 1);
        let until = next.unwrap_or(octets.len());
        // Room that was never written is no damage, but only at the end: nothing is ever left out between records.
        let written = octets.get(at..until).unwrap_or_default();
        let len = if next.is_some() {
            written.len()
        } else {
            written.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1)
        };
        if len > 0 {
            walk.bad.push((at as u32, len as u32));
        }
        at = until;
    }
    walk
}

/// The header at the front of `rest`, when both it and its payload are sound.
fn sound_record(rest: &[u8], segment: &SegmentHead, offset: u32) -> Result<Header, BadRecord> {
    let head = rest.first_chunk::<RECORD_HEAD>().ok_or(BadRecord::Damaged)?;
    let header = Header::decode(head, segment, offset)?;
    let payload = rest.get(RECORD_HEAD..).and_then(|rest| rest.get(..header.len as usize)).ok_or(BadRecord::Damaged)?;
    if crc32c::crc32c(payload) == header.payload_crc { Ok(header) } else { Err(BadRecord::Damaged) }
}

/// Where the next sound record begins, at `from` or later.
fn next_record(octets: &[u8], segment: &SegmentHead, from: usize) -> Option<usize> {
    let marker = segment.marker();
    let mut at = from;
    loop {
        at += octets.get(at..)?.windows(marker.len()).position(|window| window == marker)?;
        match sound_record(octets.get(at..)?, segment, at as u32) {
            Ok(_) | Err(BadRecord::Unknown) => return Some(at),
            Err(BadRecord::Damaged) => at += 1,
        }
    }
}

/// The sound headers in a stretch that is no record: their payloads are damaged, but what they were can be told.
pub(super) fn headers_in(octets: &[u8], segment: &SegmentHead, stretch: (u32, u32)) -> Vec<Header> {
    let (from, len) = (stretch.0 as usize, stretch.1 as usize);
    let marker = segment.marker();
    let starts = octets.get(from..from + len).unwrap_or_default().windows(marker.len()).enumerate();
    starts
        .filter(|(_, window)| *window == marker)
        .filter_map(|(at, _)| {
            let head = octets.get(from + at..)?.first_chunk::<RECORD_HEAD>()?;
            Header::decode(head, segment, (from + at) as u32).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHead {
        SegmentHead { number: 7, salt: 0x0123_4567_89ab_cdef, floor: MessageId::from_u64(99) }
    }

    /// A segment with records of these payloads, and the offset of each.
    fn build(payloads: &[&[u8]], room: usize) -> (Vec<u8>, Vec<usize>) {
        let mut octets = segment().encode().to_vec();
        let mut offsets = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            offsets.push(octets.len());
            let header = Header {
                kind: Kind::Message,
                format: 1,
                len: payload.len() as u32,
                synced: 64,
                id: MessageId::from_u64(100 + n as u64),
                payload_crc: crc32c::crc32c(payload),
            };
            octets.extend_from_slice(&header.encode(&segment(), octets.len() as u32));
            octets.extend_from_slice(payload);
        }
        octets.resize(octets.len() + room, 0);
        (octets, offsets)
    }

    fn ids(walk: &Walk) -> Vec<u64> {
        walk.records.iter().map(|(_, header)| header.id.get()).collect()
    }

    #[test]
    fn a_segment_head_is_read_back_and_a_later_format_is_told_from_damage() {
        let head = segment().encode();
        assert_eq!(SegmentHead::decode(&head), Ok(segment()));
        for at in 0..SEGMENT_HEAD {
            let mut bad = head;
            bad[at] ^= 0x40;
            assert!(SegmentHead::decode(&bad).is_err(), "octet {at} may be anything");
        }
        let mut later = head;
        later[8] = 2;
        seal(&mut later);
        assert_eq!(SegmentHead::decode(&later), Err(BadHead::Format(2)));
        let mut later_with_another_layout = head;
        later_with_another_layout[8] = 3;
        assert_eq!(SegmentHead::decode(&later_with_another_layout), Err(BadHead::Format(3)));
    }

    #[test]
    fn every_octet_of_a_header_counts_and_so_does_its_place() {
        let header =
            Header { kind: Kind::Mark, format: 1, len: 5, synced: 9, id: MessageId::from_u64(3), payload_crc: 77 };
        let octets = header.encode(&segment(), 640);
        assert_eq!(Header::decode(&octets, &segment(), 640), Ok(header));
        assert_eq!(Header::decode(&octets, &segment(), 641), Err(BadRecord::Damaged));
        let other = SegmentHead { number: 8, ..segment() };
        assert_eq!(Header::decode(&octets, &other, 640), Err(BadRecord::Damaged));
        for at in 0..RECORD_HEAD {
            let mut bad = octets;
            bad[at] ^= 1;
            assert_eq!(Header::decode(&bad, &segment(), 640), Err(BadRecord::Damaged), "octet {at} may be anything");
        }
    }

    #[test]
    fn a_tail_torn_at_any_octet_costs_the_last_record_only() {
        let (whole, offsets) = build(&[b"first", b"second", b"the last one"], 0);
        let last = offsets[2];
        for cut in last..whole.len() {
            for room in [0, 50] {
                let mut octets = whole[..cut].to_vec();
                octets.resize(cut + room, 0);
                let walk = walk(&octets, &segment());
                assert_eq!(ids(&walk), [100, 101], "cut at {cut} with {room} zeros behind");
                assert_eq!(walk.end as usize, last, "cut at {cut} with {room} zeros behind");
            }
        }
    }

    #[test]
    fn damage_anywhere_in_the_middle_costs_that_record_only() {
        let (whole, offsets) = build(&[b"first", b"second", b"the last one"], 100);
        for at in offsets[1]..offsets[2] {
            let mut octets = whole.clone();
            octets[at] ^= 0x10;
            let walk = walk(&octets, &segment());
            assert_eq!(ids(&walk), [100, 102], "damage at {at}");
            assert_eq!(walk.bad, [(offsets[1] as u32, (offsets[2] - offsets[1]) as u32)], "damage at {at}");
        }
    }

    #[test]
    fn a_mail_whose_text_is_a_segment_of_another_spool_forges_no_record() {
        let foreign = SegmentHead { salt: 0x1111_2222_3333_4444, ..segment() };
        let mut text = vec![b'x'; 200];
        for offset in 0..200u32 {
            let header =
                Header { kind: Kind::Mark, format: 1, len: 0, synced: 0, id: MessageId::from_u64(1), payload_crc: 0 };
            text.extend_from_slice(&header.encode(&foreign, offset));
            text.extend_from_slice(&segment().marker());
        }
        let (mut octets, offsets) = build(&[&text, b"after"], 10);
        octets[offsets[0] + 5] ^= 1;
        assert_eq!(ids(&walk(&octets, &segment())), [101]);
    }

    #[test]
    fn unwritten_room_is_the_end_and_no_damage() {
        let (octets, _) = build(&[b"one"], 4096);
        let walk = walk(&octets, &segment());
        assert_eq!((walk.records.len(), walk.bad.len()), (1, 0));
    }
}
