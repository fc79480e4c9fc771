//! What was seen of the faults, as the page `docs/troubleshooting.md`.

use std::{fmt::Write as _, fs, path::PathBuf};

use mailsluice_crds::catalogue::{Explanation, Topic, topics};

use super::{
    row::{Chapter, Ending, Seen},
    run::Report,
    stable::stable,
};
use crate::workspace;

/// How to write the page anew.
pub const REGENERATE: &str = "cargo test -p mailsluice-tests --test faults -- --write";

const HEAD: &str = "\
# Troubleshooting

Mail does not go out, and somebody has to find out why. Look at the Monitor first ([its page, or as JSON](monitor.md)): the row of the host
has a *reason*, a *problem* with the facts, and a *Suspended Till*. Then look below for what it says, or let the relay explain it:

```console
$ mailsluice-relay explain 'the problem, pasted in quotes'
```

Every section below is a fault that a test makes, with real networks, name servers and mail servers, and ends again; what stands in it is
what the relay said. The moments are made up; attempts are five minutes apart. What Postfix says of the same faults is
[beside it](postfix.md).

- **The clock sign and \"TCP/IP link is down\"**: the TCP Schedule allows no connection now. If it should, set `log: AllInfo` on the
  TCPSchedule and wait until the Suspended Till changes: the records with the marker `TCP(SMTP)` have each question to the schedule,
  its answer, and the rule that gave it.
- **A connection is shown and nothing moves**: its stage says what it waits for, and since when. If that is not enough, set the Log Level
  of that host to LowLevel, which adds the conversation, or to AllInfo, in `log.hosts` of the SMTPRelay; it falls back by itself at
  `until`.
- **A code**: all are explained in [reasons and codes](errors.md).
- **Nothing of this helps**: have at hand the version (`mailsluice-relay --version`), the Monitor's JSON (`/monitor`), the manifests
  without their Secrets, and the log from before the Suspended Till last changed. The administrator of the other host will ask for
  the reply, its moment and the relay's address.
";

/// Where it stands.
#[must_use]
pub fn file() -> PathBuf {
    workspace().join("docs/troubleshooting.md")
}

/// The page of these reports.
#[must_use]
pub fn page(reports: &[Report]) -> String {
    let mut page = format!("<!-- Generated from a run of the faults by `{REGENERATE}`. -->\n{HEAD}");
    let mut chapter = None;
    for report in reports {
        if chapter != Some(report.row.chapter) {
            chapter = Some(report.row.chapter);
            head(&mut page, report.row.chapter);
        }
        section(&mut page, report);
    }
    page
}

/// Whether the page that is committed is this one.
///
/// # Errors
/// With what to do about it.
pub fn compare(page: &str) -> Result<(), String> {
    let committed = fs::read_to_string(file()).unwrap_or_default();
    if committed == page {
        return Ok(());
    }
    let differs = committed.lines().zip(page.lines()).find(|(old, new)| old != new);
    Err(format!(
        "docs/troubleshooting.md is not what the run gives: run `{REGENERATE}` and commit what it writes; first difference: {differs:?}"
    ))
}

fn head(page: &mut String, chapter: Chapter) {
    // Writing into a String cannot fail.
    let _ = write!(page, "\n## {}\n", chapter.heading());
}

fn section(page: &mut String, report: &Report) {
    let row = &report.row;
    let _ = write!(page, "\n### {}\n\n", row.symptom);
    let mut lines = Vec::new();
    for sighting in &report.seen {
        let text = stable(&sighting.text);
        lines.push(if text.is_empty() { sighting.shown.clone() } else { format!("{}: {text}", sighting.shown) });
    }
    if let Some(record) = &report.record {
        lines.push(format!("log: {record}"));
    }
    let _ = write!(page, "```text\n{}\n```\n\n", lines.join("\n"));
    let told = advice(report);
    let waits = row.scope().map(|scope| format!("What waits: {}. ", scope.name())).unwrap_or_default();
    let ends = match row.seen {
        Seen::Hangs(_, Ending::Minutes(minutes, code)) => {
            format!("The relay gives it up after {minutes} minutes, with `{code}`. ")
        }
        Seen::Hangs(_, Ending::GoesOn) => "It goes on by itself. ".to_owned(),
        _ => String::new(),
    };
    for Explanation { name, meaning, advice, .. } in &told {
        let _ = writeln!(page, "- `{name}`: {meaning} {advice}");
    }
    if !(waits.is_empty() && ends.is_empty()) {
        let _ = writeln!(page, "- {}", format!("{waits}{ends}").trim_end());
    }
}

/// What the catalogue says of what was seen.
fn advice(report: &Report) -> Vec<Explanation> {
    let Some(last) = report.seen.last() else { return Vec::new() };
    let asked = match report.row.seen {
        Seen::Returned(status, _) => status.to_owned(),
        Seen::Hangs(_, Ending::Minutes(_, code)) => code.to_owned(),
        Seen::Hangs(_, Ending::GoesOn) => "ETIMEDOUT".to_owned(),
        // Without the state behind it: `Held` is the name of a reason, too.
        _ => format!("{}: {}", last.shown.split(", ").next().unwrap_or_default(), last.text),
    };
    let mut told: Vec<Explanation> = topics(&[asked]).unwrap_or_default().iter().map(Topic::explain).collect();
    told.dedup_by(|one, other| one.name == other.name);
    told
}
