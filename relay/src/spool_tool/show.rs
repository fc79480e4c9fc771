//! One message.

use std::io;

use super::{Contents, ToolError, view};
use crate::{
    output::Output,
    smtp::extensions::timing::Late,
    spool::{BodyReader, MessageId, Recovered},
};

/// Octets of a header that are shown at most.
const HEADER_MAX: usize = 64 << 10;

pub(super) async fn run(
    contents: &Contents,
    id: MessageId,
    output: Output,
    out: &mut (dyn io::Write + Send),
) -> Result<(), ToolError> {
    let message = contents.find(id)?;
    if output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &view::Message::new(message))
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
            .map_err(ToolError::io("write the message"))?;
        return Ok(());
    }
    envelope(message, out).map_err(ToolError::io("write the message"))?;
    let (_, body) = contents.spool.read(message.location).await?;
    let header = header(body).await.map_err(ToolError::io(format!("read the text of {id}")))?;
    out.write_all(&header).map_err(ToolError::io("write the message"))
}

fn envelope(message: &Recovered, out: &mut (dyn io::Write + Send)) -> io::Result<()> {
    let Recovered { envelope, pending, .. } = message;
    writeln!(out, "id:        {}", envelope.id)?;
    writeln!(out, "received:  {:.0}", envelope.received_at)?;
    if let Some(client) = envelope.client.address {
        writeln!(out, "client:    {client} ({}, session {})", envelope.client.helo, envelope.client.session)?;
    }
    writeln!(out, "size:      {} octets{}", envelope.size, if envelope.eight_bit { ", 8BITMIME" } else { "" })?;
    let timing = envelope.timing();
    if let Some(until) = timing.hold_until {
        writeln!(out, "held:      till {until:.0}, as its sender wants (FUTURERELEASE)")?;
    }
    if let Some(by) = timing.deliver_by {
        let late = if by.late == Late::Return { "or goes back" } else { "or its sender is told" };
        writeln!(out, "deliver:   by {:.0} {late} (DELIVERBY)", by.at)?;
    }
    if let Some(priority) = timing.priority {
        writeln!(out, "priority:  {priority} (MT-PRIORITY)")?;
    }
    if envelope.requires_tls() {
        writeln!(out, "tls:       required all the way (REQUIRETLS)")?;
    } else if envelope.is_tls_optional() {
        writeln!(out, "tls:       whatever the recipient's domain asks for (TLS-Required: No)")?;
    }
    writeln!(out, "sender:    <{}>", envelope.sender)?;
    for (index, recipient) in envelope.recipients.iter().enumerate() {
        let state = match pending.iter().find(|pending| usize::from(pending.recipient) == index) {
            None => "done".to_owned(),
            Some(pending) => {
                let due = pending.due.map_or_else(|| "now".to_owned(), |due| format!("{due:.0}"));
                let error = pending.error.as_ref().map(|error| format!("; {} {}", error.code, error.text));
                format!("waits, {} attempts, due {due}{}", pending.attempts, error.unwrap_or_default())
            }
        };
        writeln!(out, "recipient: <{recipient}> {state}")?;
    }
    writeln!(out)
}

async fn header(mut body: BodyReader) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < HEADER_MAX
        && let Some(chunk) = body.next_chunk().await?
    {
        text.extend_from_slice(&chunk);
        if let Some(end) = memchr::memmem::find(&text, b"\r\n\r\n") {
            text.truncate(end + 2);
            return Ok(text);
        }
    }
    text.truncate(HEADER_MAX);
    Ok(text)
}
