//! What of the Monitor is looked at, and what keys change about that.

use std::cmp::Reverse;

use mailsluice_crds::monitor::HostRow;

/// In which order hosts are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Suspended ones first, then by their oldest message.
    #[default]
    Worst,
    /// By name.
    Host,
    /// Those with most messages first.
    Messages,
    /// Those whose Suspended Till comes first.
    Till,
    /// Those with the oldest message first.
    Oldest,
}

impl Sort {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sort::Worst => "worst first",
            Sort::Host => "host",
            Sort::Messages => "messages",
            Sort::Till => "Suspended Till",
            Sort::Oldest => "oldest message",
        }
    }

    fn next(self) -> Sort {
        match self {
            Sort::Worst => Sort::Host,
            Sort::Host => Sort::Messages,
            Sort::Messages => Sort::Till,
            Sort::Till => Sort::Oldest,
            Sort::Oldest => Sort::Worst,
        }
    }

    /// The rows in this order. They come the worst first, and stay so where this order leaves it open.
    pub(crate) fn sorted(self, rows: &[HostRow]) -> Vec<&HostRow> {
        let mut rows: Vec<&HostRow> = rows.iter().collect();
        match self {
            Sort::Worst => {}
            Sort::Host => rows.sort_by(|a, b| a.host.cmp(&b.host)),
            Sort::Messages => rows.sort_by_key(|row| Reverse(row.messages)),
            Sort::Till => rows.sort_by_key(|row| (row.suspended_till.is_none(), row.suspended_till)),
            Sort::Oldest => rows.sort_by_key(|row| (row.oldest.is_none(), row.oldest)),
        }
        rows
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The row above, or a line up.
    Up,
    /// The row below, or a line down.
    Down,
    /// So many rows up.
    PageUp,
    /// So many rows down.
    PageDown,
    /// Open the chosen host.
    Open,
    /// Back to the table.
    Back,
    /// The next order.
    Sort,
    /// Help, or back from it.
    Help,
    /// Back, and from the table out.
    Quit,
    /// Out, wherever this is.
    Leave,
}

/// What is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The order of the table.
    pub(crate) sort: Sort,
    /// The chosen host; the first one, where it is none of them.
    pub(crate) chosen: Option<String>,
    /// The host that is open.
    pub(crate) open: Option<String>,
    /// Whether help covers it.
    pub(crate) help: bool,
    /// How many lines of the open host are above the screen.
    pub(crate) scrolled: usize,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Yes.
    Stay,
    /// No.
    Leave,
}

impl View {
    /// What a key does, with `rows` in the table's order and so many of them on a page.
    pub(crate) fn press(&mut self, key: Key, rows: &[&HostRow], page: usize) -> Next {
        match (key, self.help) {
            (Key::Leave, _) => return Next::Leave,
            (Key::Quit, false) if self.open.is_some() => self.close(),
            (Key::Quit, false) => return Next::Leave,
            (Key::Help, _) => self.help = !self.help,
            (Key::Quit | Key::Back, true) => self.help = false,
            (_, true) => {}
            (Key::Back, false) => self.close(),
            (Key::Sort, false) => self.sort = self.sort.next(),
            (Key::Open, false) => {
                self.open = rows.get(self.row(rows)).map(|row| row.host.clone());
                self.scrolled = 0;
            }
            (Key::Up, false) => self.go(rows, -1),
            (Key::Down, false) => self.go(rows, 1),
            (Key::PageUp, false) => self.go(rows, -page.max(1).cast_signed()),
            (Key::PageDown, false) => self.go(rows, page.max(1).cast_signed()),
        }
        Next::Stay
    }

    /// The number of the chosen row.
    pub(crate) fn row(&self, rows: &[&HostRow]) -> usize {
        let chosen = self.chosen.as_deref();
        rows.iter().position(|row| Some(row.host.as_str()) == chosen).unwrap_or(0)
    }

    fn close(&mut self) {
        self.open = None;
        self.scrolled = 0;
    }

    fn go(&mut self, rows: &[&HostRow], by: isize) {
        if self.open.is_some() {
            self.scrolled = self.scrolled.saturating_add_signed(by);
            return;
        }
        let row = self.row(rows).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(row).map(|row| row.host.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, row},
        *,
    };

    fn rows() -> Vec<HostRow> {
        vec![
            HostRow { messages: 1, suspended_till: Some(at(90)), oldest: Some(at(-5)), ..row("b.example") },
            HostRow { messages: 9, suspended_till: Some(at(30)), oldest: Some(at(-4)), ..row("c.example") },
            HostRow { messages: 5, oldest: Some(at(-9)), ..row("a.example") },
        ]
    }

    #[test]
    fn hosts_are_sorted_by_each_order_in_turn() {
        let rows = rows();
        let mut view = View::default();
        for wanted in ["bca", "abc", "cab", "cba", "abc", "bca"] {
            let order: String = view.sort.sorted(&rows).iter().filter_map(|row| row.host.chars().next()).collect();
            assert_eq!(order, wanted, "{:?}", view.sort);
            view.press(Key::Sort, &[], 1);
        }
    }

    #[test]
    fn keys_choose_open_and_leave() {
        let rows = rows();
        let rows = Sort::Worst.sorted(&rows);
        let mut view = View::default();
        for (key, chosen, open, help, next) in [
            (Key::Down, Some("c.example"), None, false, Next::Stay),
            (Key::PageDown, Some("a.example"), None, false, Next::Stay),
            (Key::Up, Some("c.example"), None, false, Next::Stay),
            (Key::Open, Some("c.example"), Some("c.example"), false, Next::Stay),
            (Key::Help, Some("c.example"), Some("c.example"), true, Next::Stay),
            (Key::Down, Some("c.example"), Some("c.example"), true, Next::Stay),
            (Key::Quit, Some("c.example"), Some("c.example"), false, Next::Stay),
            (Key::Quit, Some("c.example"), None, false, Next::Stay),
            (Key::PageUp, Some("b.example"), None, false, Next::Stay),
            (Key::Quit, Some("b.example"), None, false, Next::Leave),
            (Key::Open, Some("b.example"), Some("b.example"), false, Next::Stay),
            (Key::Leave, Some("b.example"), Some("b.example"), false, Next::Leave),
        ] {
            assert_eq!(view.press(key, &rows, 10), next, "{key:?}");
            assert_eq!((view.chosen.as_deref(), view.open.as_deref(), view.help), (chosen, open, help), "{key:?}");
        }
    }

    #[test]
    fn the_chosen_host_stays_chosen_when_rows_change_places() {
        let before = rows();
        let mut view = View::default();
        view.press(Key::Down, &Sort::Worst.sorted(&before), 10);
        let after: Vec<HostRow> = before.iter().rev().cloned().collect();
        assert_eq!(view.row(&Sort::Worst.sorted(&after)), 1);
        assert_eq!(view.row(&Sort::Worst.sorted(&after[..1])), 0, "one that is gone leaves the first");
        assert_eq!(view.row(&[]), 0);
    }
}
