//! What to write instead of a window or an exception that makes no sense: said by the schema's rules, and by whoever meets
//! one that was let in without them.

pub(crate) const EMPTY: &str =
    "`from` and `to` are the same time: for the whole day leave both out or write from \"00:00\" to \"24:00\"";
pub(crate) const STARTS_AT_END_OF_DAY: &str = "it cannot start at \"24:00\": write \"00:00\" and the day after";
pub(crate) const PAUSE_WHILE_CLOSED: &str = "`pause` belongs to an open link: leave it out, or write link: Open";
pub(crate) const PAUSE_TOO_LONG: &str = "`pause` is longer than 7d, in which every window comes again: make it shorter";
