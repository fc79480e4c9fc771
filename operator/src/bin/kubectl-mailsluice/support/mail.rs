//! Sends the archive by mail.

use std::str::FromStr;

use lettre::{
    Message, SmtpTransport, Transport as _,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::client::{Tls, TlsParameters},
};

use crate::error::PluginError;

/// The port of mail servers (RFC 5321 §4.5.4.2).
const PORT: u16 = 25;

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    host: String,
    port: u16,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Server, String> {
        // An IPv6 address has colons of its own, and with a port stands in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.starts_with('[') && host.ends_with(']') => {
                (host, Some(port))
            }
            _ => (text, None),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port"))?,
            None => PORT,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("write the mail server's name, such as mail.example.org".into());
        }
        Ok(Server { host: host.to_owned(), port })
    }
}

/// The letter: the summary as its text, the archive beside it.
pub(crate) fn letter(
    from: &Mailbox,
    to: &Mailbox,
    subject: &str,
    summary: &str,
    name: &str,
    archive: Vec<u8>,
) -> Result<Message, PluginError> {
    let fault = |said: String| PluginError::Mail { host: "compose".into(), said };
    let kind = ContentType::parse("application/gzip").map_err(|error| fault(error.to_string()))?;
    let parts = MultiPart::mixed()
        .singlepart(SinglePart::plain(summary.to_owned()))
        .singlepart(Attachment::new(name.to_owned()).body(archive, kind));
    let letter = Message::builder().from(from.clone()).to(to.clone()).subject(subject).multipart(parts);
    letter.map_err(|error| fault(error.to_string()))
}

/// Sends it, under TLS where the server offers that: then its certificate must be good.
pub(crate) async fn send(server: Server, letter: Message) -> Result<(), PluginError> {
    let Server { host, port } = server;
    let name = host.clone();
    let fault = move |said: String| PluginError::Mail { host: name.clone(), said };
    let sent = tokio::task::spawn_blocking(move || {
        let tls = TlsParameters::new(host.clone())?;
        let transport = SmtpTransport::builder_dangerous(&host).port(port).tls(Tls::Opportunistic(tls)).build();
        transport.send(&letter)
    });
    match sent.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(fault(causes(&error))),
        Err(error) => Err(fault(error.to_string())),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("mail.example.org", "mail.example.org", 25),
            ("mail.example.org:587", "mail.example.org", 587),
            ("::1", "::1", 25),
            ("[::1]:2525", "::1", 2525),
        ] {
            assert_eq!(text.parse(), Ok(Server { host: host.into(), port }), "{text}");
        }
        for bad in ["", ":25", "mail.example.org:smtp"] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_letter_has_the_summary_as_its_text_and_the_archive_beside_it() {
        let mailbox = |text: &str| text.parse::<Mailbox>().unwrap();
        let letter = letter(
            &mailbox("ann@example.org"),
            &mailbox("help@example.com"),
            "Support",
            "# What is wrong\n",
            "a.tar.gz",
            vec![31, 139, 0],
        );
        let text = String::from_utf8(letter.unwrap().formatted()).unwrap();
        for part in ["Subject: Support\r\n", "# What is wrong", "application/gzip", "filename=\"a.tar.gz\"", "H4sA"] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
