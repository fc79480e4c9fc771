//! What waits: a line for each message.

use std::io;

use crate::{output::Output, spool::Recovered};

use super::{Contents, ToolError, view};

pub(super) fn run(contents: &Contents, output: Output, out: &mut (dyn io::Write + Send)) -> Result<(), ToolError> {
    match output {
        Output::Text => table(&contents.messages, out),
        Output::Json => json(&contents.messages, out),
    }
    .map_err(ToolError::io("write the list"))
}

fn table(messages: &[Recovered], out: &mut (dyn io::Write + Send)) -> io::Result<()> {
    writeln!(
        out,
        "{:<16}  {:<20}  {:>10}  {:>8}  {:<20}  {:<30}  WAITING FOR",
        "ID", "RECEIVED", "SIZE", "ATTEMPTS", "DUE", "SENDER"
    )?;
    for Recovered { envelope, pending, .. } in messages {
        let attempts = pending.iter().map(|pending| pending.attempts).max().unwrap_or(0);
        let due = pending.iter().map(|pending| pending.due).min().flatten();
        let first = pending.first().and_then(|pending| envelope.recipients.get(usize::from(pending.recipient)));
        let more = match pending.len() {
            0 | 1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        writeln!(
            out,
            "{}  {:<20}  {:>10}  {attempts:>8}  {:<20}  {:<30}  {}{more}",
            envelope.id,
            format!("{:.0}", envelope.received_at),
            envelope.size,
            due.map_or_else(|| "now".to_owned(), |due| format!("{due:.0}")),
            format!("<{}>", envelope.sender),
            first.map_or("", String::as_str),
        )?;
    }
    Ok(())
}

/// One array, a message a line.
fn json(messages: &[Recovered], out: &mut (dyn io::Write + Send)) -> io::Result<()> {
    write!(out, "[")?;
    for (index, message) in messages.iter().enumerate() {
        write!(out, "{}", if index == 0 { "\n" } else { ",\n" })?;
        serde_json::to_writer(&mut *out, &view::Message::new(message))?;
    }
    writeln!(out, "\n]")
}
