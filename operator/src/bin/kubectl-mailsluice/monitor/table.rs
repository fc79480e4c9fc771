//! The Monitor as a table: the relay in a few lines, then a row for each host.

use jiff::Timestamp;
use mailsluice_crds::{
    monitor::{HostRow, HostState, Link},
    schedule::LinkState,
};

use super::{
    Picture,
    look::{Line, Look},
    view::View,
};
use crate::text::{age, clean, columns, counted, cut, fitted, length, moment, size};

/// A host's name is cut beyond that, so that its problem has room.
const HOST_COLUMNS: usize = 40;
/// A problem is not cut below that, whatever the terminal.
const PROBLEM_COLUMNS: usize = 20;
/// Clients above the table on a screen.
const SCREEN_CLIENTS: usize = 2;
/// Clients below the table in a file.
const PRINTED_CLIENTS: usize = 20;
/// Between columns.
const GAP: &str = "  ";

/// The clock of what waits till a moment, and the signs of the other states.
pub(super) fn sign(row: &HostRow) -> &'static str {
    match row.state {
        HostState::Suspended => "◷",
        HostState::Held => "■",
        HostState::Sending => "▸",
        HostState::Ready => "·",
    }
}

/// How a host's state looks.
pub(super) fn look(row: &HostRow) -> Look {
    match row.state {
        HostState::Suspended | HostState::Held => Look::Alert,
        HostState::Sending => Look::Well,
        HostState::Ready => Look::Plain,
    }
}

/// The lines above the table.
pub(super) fn head(picture: &Picture, now: Timestamp, width: usize) -> Vec<Line> {
    let running = picture.pods.saturating_sub(picture.unread.len());
    let pods = format!("{running} of {} read", counted(picture.pods as u64, "pod"));
    let Some(merged) = &picture.merged else {
        let mut lines = vec![Line::of(Look::Heading, picture.relay.as_str()).and(Look::Dim, format!("{GAP}{pods}"))];
        lines.extend(unread(picture, width));
        return lines;
    };
    let mut lines = vec![
        Line::of(Look::Heading, picture.relay.as_str())
            .and(Look::Dim, format!("{GAP}{}{GAP}{pods}{GAP}{}", merged.version, moment(now))),
        link(&merged.link, now),
    ];
    let queue = &merged.queue;
    let oldest = queue.oldest.map(|oldest| format!(", the oldest for {}", age(oldest, now))).unwrap_or_default();
    let waits = if queue.messages == 1 { "waits" } else { "wait" };
    lines.push(Line::of(
        Look::Plain,
        format!(
            "Queue: {} {waits}, {}, for {}, {} of them suspended{oldest}",
            counted(queue.messages, "message"),
            size(queue.bytes),
            counted(queue.hosts.into(), "host"),
            queue.suspended_hosts,
        ),
    ));
    for problem in &merged.problems {
        let text = format!("{}: {} (for {})", problem.reason.name(), clean(&problem.message), age(problem.since, now));
        lines.push(Line::of(Look::Alert, cut(&text, width)));
    }
    lines.extend(unread(picture, width));
    lines
}

/// The clients that were refused lately, at most so many, and how many more there are.
fn refused(picture: &Picture, now: Timestamp, width: usize, most: usize) -> Vec<Line> {
    let all: Vec<String> = picture.merged.iter().flat_map(|merged| super::refused(merged, now)).collect();
    let mut lines: Vec<Line> =
        all.iter().take(most).map(|text| Line::of(Look::Plain, cut(&format!("Refused: {text}"), width))).collect();
    if all.len() > most {
        let clients = counted((all.len() - most) as u64, "more client");
        lines.push(Line::of(Look::Dim, format!("{clients} refused in the last day")));
    }
    lines
}

fn unread(picture: &Picture, width: usize) -> impl Iterator<Item = Line> {
    picture.unread.iter().map(move |error| Line::of(Look::Alert, cut(&clean(&error.to_string()), width)))
}

fn link(link: &Link, now: Timestamp) -> Line {
    let by = link.schedule.as_ref().map(|schedule| format!(" by TCP Schedule {schedule}")).unwrap_or_default();
    let change = |what: &str| {
        link.changes_at
            .map(|at| format!(", {what} {} (in {})", moment(at), length(at.as_second() - now.as_second())))
            .unwrap_or_default()
    };
    match link.state {
        LinkState::Open => Line::of(Look::Well, "TCP/IP link: open").and(Look::Plain, by + &change("closes")),
        LinkState::Closed => Line::of(Look::Alert, "◷ TCP/IP link is down").and(Look::Plain, by + &change("opens")),
    }
}

/// The widths of the table's columns.
struct Columns {
    host: usize,
    messages: usize,
    till: usize,
    problem: usize,
}

const STATE: usize = 9;
const OLDEST: usize = 8;

impl Columns {
    fn of(rows: &[&HostRow], now: Timestamp, width: usize) -> Columns {
        let widest = |heading: &str, of: &dyn Fn(&HostRow) -> usize| {
            rows.iter().map(|row| of(row)).max().unwrap_or(0).max(columns(heading))
        };
        let host = widest("HOST", &|row| columns(&clean(&row.host))).min(HOST_COLUMNS);
        let messages = widest("MESSAGES", &|row| row.messages.to_string().len());
        let till = widest("SUSPENDED TILL", &|row| columns(&till(row, now)));
        // Two for the sign, and five gaps.
        let taken = 2 + host + STATE + messages + OLDEST + till + 5 * GAP.len();
        Columns { host, messages, till, problem: width.saturating_sub(taken).max(PROBLEM_COLUMNS) }
    }

    fn heading(&self) -> Line {
        let Columns { host, messages, till, .. } = *self;
        Line::of(
            Look::Heading,
            format!(
                "  {}{GAP}{}{GAP}{:>messages$}{GAP}{:>OLDEST$}{GAP}{}{GAP}PROBLEM",
                fitted("HOST", host),
                fitted("STATE", STATE),
                "MESSAGES",
                "OLDEST",
                fitted("SUSPENDED TILL", till),
            ),
        )
    }

    fn row(&self, row: &HostRow, now: Timestamp) -> Line {
        let messages = self.messages;
        let oldest = row.oldest.map(|oldest| age(oldest, now)).unwrap_or_default();
        Line::of(look(row), format!("{} ", sign(row)))
            .and(Look::Plain, format!("{}{GAP}", fitted(&clean(&row.host), self.host)))
            .and(look(row), format!("{}{GAP}", fitted(&format!("{:?}", row.state), STATE)))
            .and(Look::Plain, format!("{:>messages$}{GAP}{:>OLDEST$}{GAP}", row.messages, cut(&oldest, OLDEST)))
            .and(look(row), format!("{}{GAP}", fitted(&till(row, now), self.till)))
            .and(Look::Plain, cut(&problem(row), self.problem))
    }
}

/// `2026-11-24T07:00:00Z, in 9h 12m`: counting down.
pub(super) fn till(row: &HostRow, now: Timestamp) -> String {
    let Some(till) = row.suspended_till else { return String::new() };
    format!("{}, in {}", moment(till), length(till.as_second() - now.as_second()))
}

/// The problem in the Monitor's words; where there is none, where the last attempt failed.
fn problem(row: &HostRow) -> String {
    let last = || row.last_error.as_ref().map(|error| format!("{}: {}", error.place(), error.text));
    clean(&row.problem.clone().or_else(last).unwrap_or_default())
}

/// The whole table, for a file: nothing is cut but what is too wide.
pub(super) fn printed(picture: &Picture, now: Timestamp, width: usize) -> Vec<Line> {
    let mut lines = head(picture, now, width);
    let rows = picture.rows(super::view::Sort::Worst);
    if !rows.is_empty() {
        let columns = Columns::of(&rows, now, width);
        lines.push(Line::new());
        lines.push(columns.heading());
        lines.extend(rows.iter().map(|row| columns.row(row, now)));
    }
    let refused = refused(picture, now, width, PRINTED_CLIENTS);
    if !refused.is_empty() {
        lines.push(Line::new());
        lines.extend(refused);
    }
    lines
}

/// The screen with the table on it, in just so many lines.
pub(super) fn screen(picture: &Picture, view: &View, now: Timestamp, (width, height): (usize, usize)) -> Vec<Line> {
    let mut lines = head(picture, now, width);
    lines.extend(refused(picture, now, width, SCREEN_CLIENTS));
    let rows = picture.rows(view.sort);
    lines.push(Line::new());
    let foot = 2;
    if rows.is_empty() {
        let text = if picture.merged.is_some() { "No mail waits." } else { "Waiting for the pods…" };
        lines.push(Line::of(Look::Dim, text));
    } else {
        let columns = Columns::of(&rows, now, width);
        lines.push(columns.heading());
        let room = height.saturating_sub(lines.len() + foot).max(1);
        let chosen = view.row(&rows);
        // The chosen row is always on the screen.
        let first = (chosen + 1).saturating_sub(room);
        for (number, row) in rows.iter().enumerate().skip(first).take(room) {
            let line = columns.row(row, now);
            lines.push(if number == chosen { line.chosen(width) } else { line });
        }
    }
    lines.resize(height.saturating_sub(1), Line::new());
    let left_out = picture.left_out();
    let more = if left_out == 0 { String::new() } else { format!(", {left_out} more not shown") };
    let hosts = counted(rows.len() as u64, "host");
    let foot =
        format!("{hosts}{more}{GAP}order: {}{GAP}↑↓ choose  Enter open  s sort  ? help  q quit", view.sort.name());
    lines.push(Line::of(Look::Dim, cut(&foot, width)));
    lines
}
