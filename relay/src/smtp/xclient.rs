//! XCLIENT: what a host that speaks for clients says of one (Postfix's XCLIENT_README).
//!
//! Decisions, where they are not Postfix's own:
//! - NAME, ADDR, PORT, PROTO, HELO and LOGIN are read, each once. DESTADDR and DESTPORT are not offered: nothing here depends on them.
//! - `[UNAVAILABLE]` and `[TEMPUNAVAIL]` mean the same: it is not known. ADDR alone has to be known, for without an address nothing
//!   could be judged; what is left out stays as it is.
//! - Values are xtext. What could break a Received line or a log record is replaced by `?`, as in HELO.

use std::net::{IpAddr, Ipv6Addr};

use super::{
    command::{CommandError, safe_name},
    extensions::xtext,
};

/// The attributes that are understood, as EHLO announces them.
pub const ATTRIBUTES: &str = "NAME ADDR PORT PROTO HELO LOGIN";

/// What is said of a client. `None` is what was not mentioned, an empty text what is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XClient {
    /// Its name in the DNS.
    pub name: Option<String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its port; 0 where that is not known.
    pub port: Option<u16>,
    /// Whether it speaks ESMTP.
    pub extended: Option<bool>,
    /// What it said in HELO or EHLO.
    pub helo: Option<String>,
    /// Whom it logged in as.
    pub login: Option<String>,
}

const USAGE: CommandError = CommandError::Syntax("XCLIENT attribute=value, each attribute once");

/// Reads what follows the command's name.
pub(super) fn parse(rest: &[u8]) -> Result<XClient, CommandError> {
    let mut said = XClient::default();
    let mut words = rest.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty()).peekable();
    if words.peek().is_none() {
        return Err(USAGE);
    }
    for word in words {
        let text = std::str::from_utf8(word).map_err(|_| USAGE)?;
        let (attribute, value) = text.split_once('=').ok_or(USAGE)?;
        let known = !["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|unknown| value.eq_ignore_ascii_case(unknown));
        let value = xtext::decode(value).ok_or(USAGE)?;
        let value = value.as_ref();
        if known && value.is_empty() {
            return Err(USAGE);
        }
        let name = || if known { safe_name(value.as_bytes()) } else { String::new() };
        match attribute.to_ascii_uppercase().as_str() {
            "NAME" => set(&mut said.name, name())?,
            "HELO" => set(&mut said.helo, name())?,
            "LOGIN" => set(&mut said.login, name())?,
            "ADDR" => set(&mut said.address, address(value).ok_or(USAGE)?)?,
            "PORT" if known => set(&mut said.port, value.parse().map_err(|_| USAGE)?)?,
            "PORT" => set(&mut said.port, 0)?,
            "PROTO" if value.eq_ignore_ascii_case("SMTP") => set(&mut said.extended, false)?,
            "PROTO" if value.eq_ignore_ascii_case("ESMTP") || !known => set(&mut said.extended, true)?,
            _ => return Err(USAGE),
        }
    }
    Ok(said)
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), CommandError> {
    if slot.replace(value).is_some() { Err(USAGE) } else { Ok(()) }
}

fn address(value: &str) -> Option<IpAddr> {
    match value.split_at_checked("IPV6:".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("IPV6:") => rest.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => value.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_each_once_and_what_is_unknown_is_empty() {
        let text = |text: &str| Some(text.to_owned());
        for (line, expected) in [
            ("ADDR=192.0.2.7", Ok(XClient { address: "192.0.2.7".parse().ok(), ..XClient::default() })),
            ("addr=ipv6:2001:db8::7", Ok(XClient { address: "2001:db8::7".parse().ok(), ..XClient::default() })),
            ("ADDR=2001:db8::7", Ok(XClient { address: "2001:db8::7".parse().ok(), ..XClient::default() })),
            (
                "NAME=[unavailable] PORT=[UNAVAILABLE] PROTO=SMTP HELO=a+2Bb+28 LOGIN=[TEMPUNAVAIL]",
                Ok(XClient {
                    name: text(""),
                    port: Some(0),
                    extended: Some(false),
                    helo: text("a+b?"),
                    login: text(""),
                    address: None,
                }),
            ),
            ("PROTO=ESMTP PORT=4242", Ok(XClient { port: Some(4242), extended: Some(true), ..XClient::default() })),
            ("", Err(USAGE)),
            ("ADDR", Err(USAGE)),
            ("NAME=", Err(USAGE)),
            ("ADDR=[UNAVAILABLE]", Err(USAGE)),
            ("ADDR=[192.0.2.7]", Err(USAGE)),
            ("ADDR=IPV6:192.0.2.7", Err(USAGE)),
            ("ADDR=192.0.2.7 ADDR=192.0.2.8", Err(USAGE)),
            ("PORT=65536", Err(USAGE)),
            ("PROTO=LMTP", Err(USAGE)),
            ("HELO=a+0A", Err(USAGE)),
            ("DESTADDR=192.0.2.1", Err(USAGE)),
            ("NAME=caf\u{e9}", Err(USAGE)),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }
}
