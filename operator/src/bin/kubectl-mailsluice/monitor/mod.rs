//! `kubectl mailsluice monitor`: the SMTP Monitor of all pods as a live table in the terminal.
//!
//! [`source`] asks the pods each second, [`view`] says what is looked at, [`table`] and [`host`] draw it as lines, and
//! [`screen`] shows these in the terminal. Where standard output is none, the table is printed once.

mod host;
mod look;
mod screen;
mod source;
mod table;
mod view;

use jiff::Timestamp;
use mailsluice_crds::monitor::{HostRow, client::refused_lately};
use mailsluice_operator::monitor::Merged;

pub(crate) use screen::watch;
pub(crate) use source::picture;

use crate::{
    error::PodError,
    text::{age, clean},
};
use view::Sort;

/// Columns of a table that is printed: as wide as a problem is long.
const PRINTED: usize = 400;

/// What is known of the relay at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// The relay's name.
    pub(crate) relay: String,
    /// Its pods.
    pub(crate) pods: usize,
    /// The Monitors of those that answered, as one.
    pub(crate) merged: Option<Merged>,
    /// Those that did not.
    pub(crate) unread: Vec<PodError>,
    /// The messages of the open host.
    pub(crate) messages: Messages,
}

/// The messages of a host that is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Messages {
    /// What the pods say of them, line by line; `None` until they have answered.
    pub(crate) text: Option<String>,
}

impl Messages {
    fn lines(&self, width: usize) -> Vec<look::Line> {
        let Some(text) = &self.text else {
            return vec![look::Line::of(look::Look::Dim, "Waiting for its messages…")];
        };
        text.lines().map(|line| look::Line::of(look::Look::Plain, crate::text::cut(line, width))).collect()
    }
}

impl Picture {
    fn rows(&self, sort: Sort) -> Vec<&HostRow> {
        self.merged.as_ref().map(|merged| sort.sorted(&merged.rows)).unwrap_or_default()
    }

    fn row(&self, host: &str) -> Option<&HostRow> {
        self.merged.as_ref().and_then(|merged| merged.rows.iter().find(|row| row.host == host))
    }

    /// Hosts that the pods know of and that are not among the rows.
    fn left_out(&self) -> u32 {
        let Some(merged) = &self.merged else { return 0 };
        merged.queue.hosts.saturating_sub(u32::try_from(merged.rows.len()).unwrap_or(u32::MAX))
    }
}

/// The clients of which something was refused in the last day, the latest first, each on one line.
pub(crate) fn refused(merged: &Merged, now: Timestamp) -> impl Iterator<Item = String> {
    refused_lately(&merged.clients, now).map(move |(row, refusal)| {
        let (listed, ago) = (if row.listed { "" } else { ", not listed" }, age(refusal.at, now));
        let from = if row.client == refusal.address { String::new() } else { format!(" from {}", refusal.address) };
        clean(&format!("{} ({:?}{listed}){from}, {ago} ago: {refusal}", row.client, row.kind))
    })
}

/// The Monitor as text: one table.
pub(crate) fn printed(picture: &Picture, now: Timestamp) -> String {
    table::printed(picture, now, PRINTED).iter().map(|line| line.text() + "\n").collect()
}

#[cfg(test)]
mod tests;
