//! Messages as files: `ID.eml`, octet for octet, and `ID.json`, its envelope. A file has its name only when it is whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::{Contents, ToolError, progress::Progress, view};
use crate::spool::{MessageId, Recovered};

pub(super) async fn run(
    contents: &Contents,
    to: &Path,
    ids: &[MessageId],
    out: &mut (dyn io::Write + Send),
) -> Result<(), ToolError> {
    let wanted: Vec<&Recovered> = match ids {
        [] => contents.messages.iter().collect(),
        ids => ids.iter().map(|id| contents.find(*id)).collect::<Result<_, _>>()?,
    };
    fs::create_dir_all(to).map_err(ToolError::io(to.display().to_string()))?;
    let mut progress = Progress::new("messages written");
    let mut unreadable = Vec::new();
    for (index, message) in wanted.iter().enumerate() {
        progress.at(index, Some(wanted.len()));
        if let Err(error) = export(contents, to, message).await? {
            unreadable.push((message.envelope.id, error));
        }
    }
    drop(progress);
    let told = || ToolError::io("write what was done");
    writeln!(out, "{} messages written to {}", wanted.len() - unreadable.len(), to.display()).map_err(told())?;
    for (id, error) in &unreadable {
        writeln!(out, "message {id} cannot be read: {error}").map_err(told())?;
    }
    // What could be written is; that something could not must not pass unnoticed.
    if unreadable.is_empty() { Ok(()) } else { Err(ToolError::Damaged(unreadable.len())) }
}

/// The inner error says that the spool does not give the message back.
async fn export(contents: &Contents, to: &Path, message: &Recovered) -> Result<Result<(), String>, ToolError> {
    let id = message.envelope.id;
    let part = to.join(format!("{id}.part"));
    let failed = |path: &Path| ToolError::io(path.display().to_string());
    let mut body = match contents.spool.read(message.location).await {
        Ok((_, body)) => body,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut file = File::create(&part).map_err(failed(&part))?;
    loop {
        match body.next_chunk().await {
            Ok(Some(chunk)) => file.write_all(&chunk).map_err(failed(&part))?,
            Ok(None) => break,
            Err(error) => {
                fs::remove_file(&part).map_err(failed(&part))?;
                return Ok(Err(error.to_string()));
            }
        }
    }
    finish(&file, &part, &to.join(format!("{id}.eml")))?;
    let mut file = File::create(&part).map_err(failed(&part))?;
    serde_json::to_writer_pretty(&mut file, &view::Message::new(message))
        .map_err(io::Error::from)
        .and_then(|()| writeln!(file))
        .map_err(failed(&part))?;
    finish(&file, &part, &to.join(format!("{id}.json")))?;
    Ok(Ok(()))
}

/// Gives a whole file its name; one that is there already is left as it is.
fn finish(file: &File, part: &Path, name: &Path) -> Result<(), ToolError> {
    let named = file.sync_all().and_then(|()| fs::hard_link(part, name));
    // In any case: what has a name has it twice now.
    let removed = fs::remove_file(part);
    named.and(removed).map_err(ToolError::io(name.display().to_string()))
}
