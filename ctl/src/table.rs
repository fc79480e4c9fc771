//! Tables for people, and how moments, lengths of time and sizes stand in them. Pure.

use jiff::{SignedDuration, Timestamp};

/// Rows under a heading, in columns that are as wide as what stands in them.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    name: &'static str,
    right: bool,
}

impl Table {
    /// A table with these columns; a name that begins with `>` is that of numbers, which stand at the right.
    pub(crate) fn new(names: &[&'static str]) -> Table {
        let column = |name: &&'static str| match name.strip_prefix('>') {
            Some(name) => Column { name, right: true },
            None => Column { name, right: false },
        };
        Table { columns: names.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column. Nothing in it can move a cursor.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// The text, each line with its end; nothing where there are no rows.
    pub(crate) fn text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let heads: Vec<String> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |at: usize| lines().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| width(at).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in lines() {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                let gap = " ".repeat(width - cell.chars().count());
                let (before, after) = if column.right { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text that may come from strangers, in one line that moves no cursor.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// How long ago a moment was: `45s`, `12m`, `3h5m`, `2d4h`.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    brief(since.duration_until(now))
}

/// A length of time by its two largest units.
fn brief(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, name: &str, small: i64, unit: &str| {
        if small == 0 { format!("{large}{name}") } else { format!("{large}{name}{small}{unit}") }
    };
    match (days, hours, minutes) {
        (1.., ..) => two(days, "d", hours % 24, "h"),
        (0, 1.., _) => two(hours, "h", minutes % 60, "m"),
        (0, 0, 1..) => format!("{minutes}m"),
        _ => format!("{seconds}s"),
    }
}

/// A moment, or nothing.
pub(crate) fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// Octets by the unit that leaves at most four digits.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["Ki", "Mi", "Gi", "Ti", "Pi"];
    let mut tenths = u128::from(octets) * 10;
    let mut unit = "";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = next;
    }
    if unit.is_empty() || tenths >= 1_000 {
        format!("{}{unit}", tenths / 10)
    } else {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them_and_nothing_moves_the_cursor() {
        let mut table = Table::new(&["HOST", ">N", "PROBLEM"]);
        assert_eq!(table.text(), "");
        table.row(["long.example".into(), "7".into(), "said \u{1b}[2J\nno".into()]);
        table.row(["a.test".into(), "1200".into(), String::new()]);
        assert_eq!(
            table.text(),
            "HOST             N  PROBLEM\nlong.example     7  said \\u{1b}[2J\\u{a}no\na.test        1200\n"
        );
    }

    #[test]
    fn times_and_sizes_are_brief() {
        for (seconds, shown) in
            [(-5, "0s"), (59, "59s"), (61, "1m"), (3_600, "1h"), (11_100, "3h5m"), (187_200, "2d4h"), (172_800, "2d")]
        {
            assert_eq!(brief(SignedDuration::from_secs(seconds)), shown, "{seconds}");
        }
        for (octets, shown) in [
            (0, "0"),
            (1_023, "1023"),
            (1_024, "1.0Ki"),
            (3_500, "3.4Ki"),
            (150 << 10, "150Ki"),
            (50 << 20, "50.0Mi"),
            (u64::MAX, "16383Pi"),
        ] {
            assert_eq!(size(octets), shown, "{octets}");
        }
    }
}
