//! Texts of a run with all that is another one in the next run put to rest: moments, times of day.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// A TCP Schedule's words for a moment, and then for a later one.
const TIMES: [&str; 2] = ["Tue 07:41", "Tue 08:00"];

/// Moments no further apart are shown as one: what follows at once may do so in the next second.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);

/// The text with its moments replaced, the earliest one first.
#[must_use]
pub fn stable(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut moments: Vec<Timestamp> = words.iter().filter_map(|word| moment(word)).collect();
    moments.sort_unstable();
    moments.dedup_by(|later, earlier| earlier.duration_until(*later) <= AT_ONCE);
    let mut times = TIMES.iter().cycle();
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if is_day(word) && words.peek().is_some_and(|time| is_time(time)) {
            let time = words.next().unwrap_or_default();
            let rest = time.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
            out.push(format!("{}{rest}", times.next().copied().unwrap_or_default()));
            continue;
        }
        out.push(match moment(word) {
            Some(at) => {
                let place = moments.iter().rposition(|other| *other <= at).unwrap_or_default();
                let rest = word.split_once('Z').map_or("", |(_, rest)| rest);
                format!("2026-11-24T07:{:02}:00Z{rest}", 5 * place)
            }
            // How far the spool has come when its disk is full.
            None if word.starts_with("seg-") => "seg-00000003.log:".to_owned(),
            None => word.to_owned(),
        });
    }
    out.join(" ")
}

/// A moment of the run, and not one of a certificate that was made for all years or for long ago.
fn moment(word: &str) -> Option<Timestamp> {
    let end = word.find('Z')?;
    let at: Timestamp = word.get(..=end)?.parse().ok()?;
    (2026..3000).contains(&at.to_zoned(TimeZone::UTC).year()).then_some(at)
}

fn is_day(word: &str) -> bool {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&word)
}

fn is_time(word: &str) -> bool {
    matches!(word.as_bytes(), [a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|octet| octet.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_put_to_rest_and_keep_their_order() {
        for (text, rest) in [
            (
                "1 attempt since 2026-02-03T04:05:06Z, next at 2026-02-03T04:05:16Z: no",
                "1 attempt since 2026-11-24T07:00:00Z, next at 2026-11-24T07:05:00Z: no",
            ),
            (
                "next at 2026-02-03T04:05:16Z, not 2026-02-03T04:05:06.123Z nor 2026-02-03T04:05:07Z",
                "next at 2026-11-24T07:05:00Z, not 2026-11-24T07:00:00Z nor 2026-11-24T07:00:00Z",
            ),
            ("it expired at 2020-01-01T00:00:00Z;", "it expired at 2020-01-01T00:00:00Z;"),
            (
                "allows no connections on Thu 11:31 (Europe/Rome); it opens Thu 11:33",
                "allows no connections on Tue 07:41 (Europe/Rome); it opens Tue 08:00",
            ),
            ("cannot allocate seg-00000012.log: full", "cannot allocate seg-00000003.log: full"),
            ("the next may begin Sun 12:04:31 (Rome)", "the next may begin Tue 07:41 (Rome)"),
            ("Zebra at 192.0.2.1:25", "Zebra at 192.0.2.1:25"),
        ] {
            assert_eq!(stable(text), rest);
        }
    }
}
