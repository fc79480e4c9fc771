//! What arrived, against what was sent.

use crate::{letter::Letter, mail, sink::Received};

/// A message that arrived, its own text set apart from what servers on its way put before it.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// The fields put before it, each with its folded lines.
    pub trace: Vec<String>,
    /// The rest.
    pub text: &'a [u8],
}

/// Sets apart the Received fields and those of the names that a peer is known to add.
#[must_use]
pub fn split<'a>(octets: &'a [u8], adds: &[&str]) -> Arrived<'a> {
    let mut trace: Vec<String> = Vec::new();
    let mut rest = octets;
    loop {
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, after) = rest.split_at(line_end);
        let text = String::from_utf8_lossy(line);
        if let (Some(last), true) = (trace.last_mut(), text.starts_with([' ', '\t'])) {
            last.push_str(&text);
        } else if text.starts_with("Received:")
            || adds.iter().any(|name| text.strip_prefix(name).is_some_and(|value| value.starts_with(':')))
        {
            trace.push(text.into_owned());
        } else {
            return Arrived { trace, text: rest };
        }
        rest = after;
    }
}

/// Checks one copy of a letter: byte for byte what was sent, one Received line of the relay's, which says `protocol`, and of the
/// peer one at most, by its `signature`.
///
/// # Errors
/// What is wrong, with where the octets part.
pub fn check(
    letter: &Letter,
    copy: &Received,
    signature: Option<&str>,
    adds: &[&str],
    protocol: &str,
) -> Result<(), String> {
    let arrived = split(&copy.octets, adds);
    if arrived.text != letter.text {
        return Err(difference(&letter.text, arrived.text));
    }
    let received = arrived.trace.iter().filter(|field| field.starts_with("Received:"));
    let (theirs, ours): (Vec<_>, Vec<_>) =
        received.partition(|field| signature.is_some_and(|signature| field.contains(signature)));
    // Some clients ask for SMTPUTF8 wherever it is offered (RFC 6531 section 4.3 has the words).
    let in_utf8 = protocol.replacen('E', "UTF8", 1);
    let says = |protocol: &str| ours.first().is_some_and(|field| field.contains(&format!(" with {protocol} ")));
    match (ours.len(), theirs.len()) {
        (1, 0 | 1) if says(&in_utf8) || (!letter.utf8 && says(protocol)) => Ok(()),
        (1, 0 | 1) => Err(format!("the relay's Received line does not say {protocol}: {:?}", ours[0])),
        (ours, theirs) => {
            Err(format!("{ours} Received lines of the relay and {theirs} of the peer: {:?}", arrived.trace))
        }
    }
}

/// The copies of a letter among all that arrived, by their subject.
#[must_use]
pub fn copies<'a>(letter: &Letter, arrived: &'a [Received]) -> Vec<&'a Received> {
    let subject = mail::header(&letter.text, "Subject");
    arrived
        .iter()
        .filter(|message| !message.envelope.sender.is_empty() && mail::header(&message.octets, "Subject") == subject)
        .collect()
}

/// Where two texts part.
fn difference(sent: &[u8], arrived: &[u8]) -> String {
    let at = sent.iter().zip(arrived).position(|(a, b)| a != b).unwrap_or_else(|| sent.len().min(arrived.len()));
    let near = |text: &[u8]| {
        let part = text.get(at.saturating_sub(16)..(at + 48).min(text.len())).unwrap_or_default();
        part.escape_ascii().to_string()
    };
    format!(
        "from octet {at} on, of {} sent and {} arrived: sent \"{}\", arrived \"{}\"",
        sent.len(),
        arrived.len(),
        near(sent),
        near(arrived)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Envelope;

    fn copy(text: &[u8]) -> Received {
        let envelope = Envelope {
            client: ([127, 0, 0, 1], 25).into(),
            helo: String::new(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
            sender: "shop@example.org".into(),
            recipients: vec!["a@one.test".into()],
            eight_bit: false,
        };
        Received { envelope, octets: text.to_vec() }
    }

    #[test]
    fn one_line_of_ours_and_of_the_peer_what_it_is_known_to_add() {
        let letter = Letter::new("one", b"text\r\n");
        let ours = "Received: from a\r\n\tby relay.test with ESMTPS id 1;\r\n\tnow\r\n";
        let theirs = "Received: from b\r\n\tby peer.test;\r\n now\r\n";
        let path = "Return-Path: <shop@example.org>\r\n";
        let text = String::from_utf8(letter.text.clone()).unwrap();
        for (octets, right) in [
            (format!("{ours}{text}"), true),
            (format!("{path}{theirs}{ours}{text}"), true),
            (text.clone(), false),
            (format!("{ours}{ours}{text}"), false),
            (format!("{theirs}{text}"), false),
            (format!("{theirs}{theirs}{ours}{text}"), false),
            (format!("{}{text}", ours.replace("ESMTPS", "ESMTP")), false),
            (format!("X-Spam: no\r\n{ours}{text}"), false),
            (format!("{ours}{text}\r\n"), false),
            (format!("{ours}{}", &text[..text.len() - 2]), false),
        ] {
            let found = check(&letter, &copy(octets.as_bytes()), Some("by peer.test"), &["Return-Path"], "ESMTPS");
            assert_eq!(found.is_ok(), right, "{octets:?}: {found:?}");
        }
    }
}
