//! Texts of a run with all that is another one in the next run put to rest: moments, times of day.

use jiff::Timestamp;

/// A TCP Schedule's words for a moment, and then for a later one.
const TIMES: [&str; 2] = ["Tue 07:41", "Tue 08:00"];

/// The text with its moments replaced, the earliest one first.
#[must_use]
pub fn stable(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut moments: Vec<Timestamp> = words.iter().filter_map(|word| moment(word)).collect();
    moments.sort_unstable();
    moments.dedup();
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
                let place = moments.iter().position(|other| *other == at).unwrap_or_default();
                let rest =
                    word.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | 'T' | ':' | '.' | 'Z'));
                format!("2026-11-24T07:{:02}:00Z{rest}", 5 * place)
            }
            None => word.to_owned(),
        });
    }
    out.join(" ")
}

fn moment(word: &str) -> Option<Timestamp> {
    let end = word.find('Z')?;
    word.get(..=end)?.parse().ok()
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
                "next at 2026-02-03T04:05:16Z, not 2026-02-03T04:05:06.123Z",
                "next at 2026-11-24T07:05:00Z, not 2026-11-24T07:00:00Z",
            ),
            (
                "allows no connections on Thu 11:31 (Europe/Rome); it opens Thu 11:33",
                "allows no connections on Tue 07:41 (Europe/Rome); it opens Tue 08:00",
            ),
            ("the next may begin Sun 12:04:31 (Rome)", "the next may begin Tue 07:41 (Rome)"),
            ("Zebra at 192.0.2.1:25", "Zebra at 192.0.2.1:25"),
        ] {
            assert_eq!(stable(text), rest);
        }
    }
}
