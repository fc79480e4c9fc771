//! How moments, lengths of time and texts of strangers are shown in a terminal.

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A length of time in its two largest units: `3d 4h`, `2h 05m`, `4m 12s`, `12s`. What is below zero is nothing.
pub(crate) fn length(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        DAY.. => format!("{}d {}h", seconds / DAY, seconds % DAY / HOUR),
        HOUR.. => format!("{}h {:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        MINUTE.. => format!("{}m {:02}s", seconds / MINUTE, seconds % MINUTE),
        _ => format!("{seconds}s"),
    }
}

/// How long ago a moment was.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    length(now.as_second() - since.as_second())
}

/// A moment as it is shown: whole seconds, UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A number of octets in the unit that fits: `31.2 MiB`.
pub(crate) fn size(octets: u64) -> String {
    match UNITS.into_iter().rev().find(|(_, unit)| octets >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(octets) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{octets} B"),
    }
}

/// A number with its noun, in the plural unless it is one.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Text that came from elsewhere, without what moves a terminal's cursor or turns its writing about.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|letter| if is_harmless(letter) { letter } else { '\u{fffd}' }).collect()
}

/// Control characters, and those that change the direction of what follows.
fn is_harmless(letter: char) -> bool {
    !letter.is_control()
        && !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text, cut to so many columns; one that was cut ends in an ellipsis.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut room = most.saturating_sub(1);
    let fits = |letter: &char| {
        let wide = letter.width().unwrap_or(0);
        let fits = wide <= room;
        room = if fits { room - wide } else { 0 };
        fits
    };
    let kept: String = text.chars().take_while(fits).collect();
    if most == 0 { kept } else { kept + "…" }
}

/// The text, cut or filled with spaces to just so many columns.
pub(crate) fn fitted(text: &str, wide: usize) -> String {
    let mut text = cut(text, wide);
    text.extend(std::iter::repeat_n(' ', wide.saturating_sub(columns(&text))));
    text
}

/// The text in lines of at most so many columns, broken at spaces where there are some.
pub(crate) fn wrapped(text: &str, wide: usize) -> Vec<String> {
    let wide = wide.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let Some(line) = lines.last_mut() else { return lines };
            let gap = usize::from(!line.is_empty());
            if columns(line) + gap + columns(word) <= wide {
                line.push_str(&" ".repeat(gap));
                line.push_str(word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            // A word wider than a line is cut where the line ends.
            let at = end_of(word, wide);
            let (head, tail) = word.split_at(at);
            line.push_str(head);
            lines.push(String::new());
            word = tail;
        }
    }
    lines
}

/// Where a word has filled so many columns; behind its first character at least.
fn end_of(word: &str, wide: usize) -> usize {
    let mut filled = 0;
    for (at, letter) in word.char_indices() {
        filled += letter.width().unwrap_or(0);
        if filled > wide && at > 0 {
            return at;
        }
    }
    word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units() {
        for (seconds, shown) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m 00s"),
            (3_599, "59m 59s"),
            (3_600, "1h 00m"),
            (7_500, "2h 05m"),
            (86_400, "1d 0h"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(length(seconds), shown);
        }
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        for (octets, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 40, "3.0 TiB"),
            (5_000 << 40, "5000.0 TiB"),
        ] {
            assert_eq!(size(octets), shown, "{octets}");
        }
    }

    #[test]
    fn what_a_host_says_cannot_move_the_cursor() {
        assert_eq!(
            clean("250 \u{1b}[2Jok\r\n\u{202e}x\u{9b}1m"),
            "250 \u{fffd}[2Jok\u{fffd}\u{fffd}\u{fffd}x\u{fffd}1m"
        );
        assert_eq!(clean("caffè 日本"), "caffè 日本");
    }

    #[test]
    fn texts_are_cut_and_filled_to_columns() {
        for (text, wide, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ab", 4, "ab  "),
            ("日本語", 4, "日… "),
            ("日本語", 6, "日本語"),
            ("abc", 0, ""),
        ] {
            assert_eq!(fitted(text, wide), shown, "{text} in {wide}");
        }
    }

    #[test]
    fn texts_are_wrapped_at_spaces_or_where_the_line_ends() {
        for (text, wide, lines) in [
            ("one two three", 7, vec!["one two", "three"]),
            ("", 5, vec![""]),
            ("abcdefgh ij", 3, vec!["abc", "def", "gh", "ij"]),
            ("日本語", 3, vec!["日", "本", "語"]),
        ] {
            assert_eq!(wrapped(text, wide), lines, "{text} in {wide}");
        }
    }
}
