//! Reads everything, and says what is damaged.

use std::io;

use super::{Contents, ToolError, progress::Progress};
use crate::spool::Location;

pub(super) async fn run(contents: &Contents, out: &mut (dyn io::Write + Send)) -> Result<(), ToolError> {
    let Contents { messages, report, .. } = contents;
    let mut unreadable = Vec::new();
    let mut progress = Progress::new("messages read");
    let mut octets = 0;
    for (index, message) in messages.iter().enumerate() {
        progress.at(index, Some(messages.len()));
        match read(contents, message.location).await {
            Ok(size) => octets += size,
            Err(error) => unreadable.push((message.envelope.id, error)),
        }
    }
    drop(progress);
    let mut say = |line: String| writeln!(out, "{line}").map_err(ToolError::io("write the result"));
    say(format!("{} messages wait, {octets} octets of text", messages.len()))?;
    if report.torn_bytes > 0 {
        say(format!(
            "{} octets at the end were never finished: no answer was given for them, and nothing is lost",
            report.torn_bytes
        ))?;
    }
    for damage in &report.damage {
        let id = damage.id.map(|id| format!(" (message {id})")).unwrap_or_default();
        say(format!("damaged: {}, {} octets at {}{id}: {}", damage.file, damage.len, damage.offset, damage.what))?;
    }
    for (id, error) in &unreadable {
        say(format!("damaged: message {id}: {error}"))?;
    }
    let now = report.damage.len() + unreadable.len();
    let known = contents.spool.damage().map_or(0, |summary| usize::try_from(summary.records).unwrap_or(usize::MAX));
    if known > now {
        say(format!("{} parts were set aside by earlier starts, in files named damaged-*", known - now))?;
    }
    match known.max(now) {
        0 => say("everything in the spool is sound".to_owned()),
        damaged => Err(ToolError::Damaged(damaged)),
    }
}

/// Octets of the text, which was read to its end.
async fn read(contents: &Contents, location: Location) -> Result<u64, String> {
    let (_, mut body) = contents.spool.read(location).await.map_err(|error| error.to_string())?;
    while body.next_chunk().await.map_err(|error| error.to_string())?.is_some() {}
    Ok(body.size())
}
