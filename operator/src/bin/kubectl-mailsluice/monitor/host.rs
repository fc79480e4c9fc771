//! One host, opened: why its mail waits, what its attempts gave, its connections, its messages.

use jiff::Timestamp;
use mailsluice_crds::{
    catalogue::{Explanation, Topic},
    monitor::HostRow,
};

use super::{
    Messages, Picture,
    look::{Line, Look},
    table::{look, sign, till},
    view::View,
};
use crate::text::{age, clean, counted, cut, fitted, moment, wrapped};

/// Where what a name stands for begins.
const INDENT: usize = 16;
const GAP: &str = "  ";

/// The lines of the host, as long as they come.
pub(super) fn lines(row: &HostRow, messages: &Messages, now: Timestamp, width: usize) -> Vec<Line> {
    let mut lines = vec![
        Line::of(look(row), format!("{} ", sign(row)))
            .and(Look::Heading, clean(&row.host))
            .and(look(row), format!("{GAP}{:?}", row.state))
            .and(Look::Plain, format!("{GAP}{}", counted(row.messages, "message"))),
    ];
    let mut say = |name: &str, text: &str| lines.extend(field(name, text, width));
    if row.suspended_till.is_some() {
        say("Suspended Till", &till(row, now));
    }
    if let Some(problem) = &row.problem {
        say("Problem", problem);
    }
    if let Some(reason) = row.reason {
        say("Reason", &format!("{}: {}", reason.name(), reason.entry().meaning));
        say("To do", reason.entry().advice);
    }
    if let Some(since) = row.failing_since {
        say("Failing since", &format!("{}, for {}", moment(since), age(since, now)));
    }
    if let Some(error) = &row.last_error {
        say("Last error", &format!("{}, {} ago", error.place(), age(error.at, now)));
        say("", &error.text);
        let Explanation { meaning, advice, .. } = Topic::Code(error.code.clone()).explain();
        say("", &meaning);
        say("To do", &advice);
    }
    for (index, address) in row.addresses.iter().enumerate() {
        let name = if index == 0 { "Addresses" } else { "" };
        let left = till_of(address.suspended_till, now);
        say(name, &format!("{} suspended till {left}: {}, {}", address.address, address.reason.name(), address.code));
    }
    for (index, connection) in row.connections.iter().enumerate() {
        let name = if index == 0 { "Connections" } else { "" };
        let reply = connection.last_reply.as_ref().map(|reply| format!(", last reply {reply}")).unwrap_or_default();
        say(name, &format!("{} in {:?} for {}{reply}", connection.peer, connection.stage, age(connection.since, now)));
    }
    lines.push(Line::new());
    lines.extend(messages.lines(width));
    lines
}

/// The screen with the host on it, in just so many lines.
pub(super) fn screen(
    picture: &Picture,
    view: &mut View,
    host: &str,
    now: Timestamp,
    (width, height): (usize, usize),
) -> Vec<Line> {
    let row = picture.row(host);
    let all = match row {
        Some(row) => lines(row, &picture.messages, now, width),
        None => vec![Line::of(Look::Heading, clean(host)), Line::of(Look::Dim, "No mail waits for it any more.")],
    };
    let room = height.saturating_sub(1);
    view.scrolled = view.scrolled.min(all.len().saturating_sub(room));
    let mut lines: Vec<Line> = all.into_iter().skip(view.scrolled).take(room).collect();
    lines.resize(room, Line::new());
    lines.push(Line::of(Look::Dim, cut("↑↓ scroll  Esc back  ? help  q back", width)));
    lines
}

fn till_of(till: Timestamp, now: Timestamp) -> String {
    format!("{} (in {})", moment(till), crate::text::length(till.as_second() - now.as_second()))
}

/// A name, and beside it what it stands for, in as many lines as that takes.
fn field(name: &str, text: &str, width: usize) -> Vec<Line> {
    let texts = wrapped(&clean(text), width.saturating_sub(INDENT));
    let mut names = std::iter::once(name).chain(std::iter::repeat(""));
    let line = |text| Line::of(Look::Dim, fitted(names.next().unwrap_or(""), INDENT)).and(Look::Plain, text);
    texts.into_iter().map(line).collect()
}
