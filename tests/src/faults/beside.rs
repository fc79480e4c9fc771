//! What the Monitor and Postfix say of the same faults, as `docs/postfix.md`.

use std::{fmt::Write as _, path::PathBuf, process::Command};

use super::{
    compare::{Answer, Compared},
    stable::stable,
};
use crate::{process, workspace};

/// How to write the page anew.
const REGENERATE: &str = "cargo test -p mailsluice-tests --test faults -- --postfix --write";

/// Letters of what Postfix says that have room in a row.
const WORDS: usize = 200;

/// How many name their fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Faults of the relay.
    pub ours: usize,
    /// Those that its Monitor names within three seconds.
    pub ours_soon: usize,
    /// Faults that Postfix can be asked of.
    pub theirs: usize,
    /// Those that it names within three seconds.
    pub theirs_soon: usize,
    /// Those that it names in the end.
    pub theirs_late: usize,
}

impl Counts {
    /// Counts.
    #[must_use]
    pub fn of(rows: &[Compared]) -> Counts {
        let answers = || rows.iter().filter_map(|row| row.theirs.as_ref());
        Counts {
            ours: rows.len(),
            ours_soon: rows.iter().filter(|row| row.is_soon()).count(),
            theirs: answers().count(),
            theirs_soon: answers().filter(|answer| answer.soon).count(),
            theirs_late: answers().filter(|answer| answer.late).count(),
        }
    }
}

/// Where it stands.
#[must_use]
pub fn file() -> PathBuf {
    workspace().join("docs/postfix.md")
}

/// The page of these rows.
#[must_use]
pub fn page(rows: &[Compared]) -> String {
    let version = process::run(Command::new("/usr/sbin/postconf").args(["-d", "-h", "mail_version"]));
    let Counts { ours, ours_soon, theirs, theirs_soon, theirs_late } = Counts::of(rows);
    let mut page = format!(
        "<!-- Generated from a run of the faults by `{REGENERATE}`. -->
# The same faults, and what Postfix says

The faults of [troubleshooting](troubleshooting.md), in its order. The relays met them first, and then Postfix {version} met the same ones,
in the same network, with the settings that come nearest: the same wait between attempts, passwords, authorities, policies of TLS.

- Of {ours} faults the relay's Monitor names {ours_soon} within 3 s, counted from when the fault happened.
- Of the {theirs} that Postfix can meet it names {theirs_soon} within 3 s, counted from when the last message was sent, and {theirs_late}
  within 45 s. It names one when the delay's reason in its queue (`postqueue -j`), or its log, has the words that an
  administrator would look for. Of the others it has nothing of the kind, or not by itself, or it was not set up: TCP Schedules,
  holds, the relay's own limits and disk, MTA-STS, DANE.

| fault | Mailsluice shows | within 3 s | Postfix: 3 s | 45 s | Postfix's words |
| --- | --- | --- | --- | --- | --- |
",
        version = version.trim(),
    );
    let said = |named: bool| if named { "yes" } else { "no" };
    for row in rows {
        let (soon, late, words) = match &row.theirs {
            Some(Answer { soon, late, words }) => (said(*soon), said(*late), cell(words)),
            None => ("–", "–", String::new()),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {soon} | {late} | {words} |",
            row.ours.row.symptom,
            cell(&row.shows()),
            said(row.is_soon())
        );
    }
    page
}

/// A text as a cell has it.
fn cell(text: &str) -> String {
    let text = match text.split_once("queued as ") {
        // Another one in each run.
        Some((before, _)) => format!("{before}queued as …)"),
        None => stable(text),
    };
    let mut shown: String = text.chars().take(WORDS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_one_and_is_no_longer_than_it_may_be() {
        for (text, shown) in [
            ("Connection refused", "Connection refused"),
            ("a | b <c>", "a \\| b &lt;c>"),
            ("sent (250 2.0.0 Ok: queued as 4C2F31)", "sent (250 2.0.0 Ok: queued as …)"),
            (&"x".repeat(WORDS + 1), &format!("{}…", "x".repeat(WORDS))),
        ] {
            assert_eq!(cell(text), shown);
        }
    }
}
