//! The argument of ETRN (RFC 1985 section 5).

use std::fmt;

use super::CommandError;
use crate::smtp::Domain;

/// Octets of a queue's name: a host as the Monitor names it has no more.
const QUEUE_MAX: usize = 255;

/// Whose mail ETRN asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// Mail for this domain, or that waits for this host.
    Host(Domain),
    /// `@`: mail for this domain and all below it.
    Below(Domain),
    /// `#`: what waits for this host, as the Monitor names it.
    Queue(String),
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(domain) => domain.as_str().fmt(f),
            Self::Below(domain) => write!(f, "@{}", domain.as_str()),
            Self::Queue(name) => write!(f, "#{name}"),
        }
    }
}

/// Reads what follows ETRN.
pub(super) fn etrn(rest: &[u8]) -> Result<Site, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("ETRN domain, ETRN @domain or ETRN #host");
    let text = std::str::from_utf8(rest).map_err(|_| USAGE)?;
    let domain = |text| Domain::parse(text).map_err(|_| USAGE);
    if let Some(parent) = text.strip_prefix('@') {
        return domain(parent).map(Site::Below);
    }
    match text.strip_prefix('#') {
        Some(name) if (1..=QUEUE_MAX).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_graphic()) => {
            Ok(Site::Queue(name.to_ascii_lowercase()))
        }
        Some(_) => Err(USAGE),
        None => domain(text).map(Site::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_domain_all_below_one_or_a_host_of_the_monitor() {
        let domain = |text| Domain::parse(text).unwrap();
        for (text, site) in [
            ("ship.example", Some(Site::Host(domain("ship.example")))),
            ("SHIP.example", Some(Site::Host(domain("ship.example")))),
            ("@ship.example", Some(Site::Below(domain("ship.example")))),
            ("#Mail.ship.example:25", Some(Site::Queue("mail.ship.example:25".into()))),
            ("", None),
            ("@", None),
            ("#", None),
            ("# x", None),
            ("two words", None),
            ("-.example", None),
            ("caf\u{e9}.example\u{0}", None),
        ] {
            assert_eq!(etrn(text.as_bytes()).ok(), site, "{text}");
        }
    }
}
