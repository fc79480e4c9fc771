//! Numbers, texts and times as octets: the small alphabet in which record payloads are written.
//!
//! Numbers are LEB128 (seven bits an octet, least significant first), texts carry their length. Reading never trusts: what
//! does not fit is [`Malformed`], whatever the octets.

use jiff::Timestamp;

/// The octets are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put_number(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_octets(out, text.as_bytes());
}

/// Puts at most `max` octets of `text`, cut between characters.
pub(super) fn put_text_cut(out: &mut Vec<u8>, text: &str, max: usize) {
    put_text(out, text.get(..text.floor_char_boundary(max)).unwrap_or(text));
}

pub(super) fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&time.as_microsecond().to_le_bytes());
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets<'a>(pub(super) &'a [u8]);

impl<'a> Octets<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        self.number()?.try_into().map_err(|_| Malformed)
    }

    /// A count of things that each take at least one octet: so a forged count cannot make us allocate.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.small::<usize>()?;
        if count > self.0.len() { Err(Malformed) } else { Ok(count) }
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.small()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        std::str::from_utf8(self.octets()?).map(str::to_owned).map_err(|_| Malformed)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Malformed> {
        Timestamp::from_microsecond(i64::from_le_bytes(self.array()?)).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read_back(numbers in prop::collection::vec(any::<u64>(), 0..8), text in ".{0,40}", micros in -1_000_000_000_000i64..4_000_000_000_000_000) {
            let time = Timestamp::from_microsecond(micros).unwrap();
            let mut out = Vec::new();
            numbers.iter().for_each(|n| put_number(&mut out, *n));
            put_text(&mut out, &text);
            put_time(&mut out, time);
            let mut from = Octets(&out);
            for number in numbers { prop_assert_eq!(from.number(), Ok(number)); }
            prop_assert_eq!(from.text(), Ok(text));
            prop_assert_eq!(from.time(), Ok(time));
            prop_assert!(from.0.is_empty());
        }

        #[test]
        fn no_octets_can_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut from = Octets(&octets);
            let _ = from.number();
            let _ = from.text();
            let _ = from.time();
            let _ = from.count();
        }
    }

    #[test]
    fn a_cut_text_stays_utf_8() {
        for (text, max, want) in
            [("abc", 5, "abc"), ("abcdef", 3, "abc"), ("aéé", 2, "a"), ("aéé", 3, "aé"), ("", 0, "")]
        {
            let mut out = Vec::new();
            put_text_cut(&mut out, text, max);
            assert_eq!(Octets(&out).text(), Ok(want.to_owned()), "{text} at {max}");
        }
    }
}
