//! What a host offers.

use crate::smtp::{
    reply::Reply,
    sasl::{Mechanism, Mechanisms},
};

/// What a host offers, as its reply to EHLO has it; nothing after HELO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870): the octets that a message may have; 0 when it announces no limit.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtp_utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// DELIVERBY (RFC 2852): the fewest seconds that the host takes with mode R; 0 when it announces none.
    pub deliver_by: Option<u32>,
    /// MT-PRIORITY (RFC 6710).
    pub mt_priority: bool,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// AUTH (RFC 4954): the mechanisms, as far as they are known here.
    pub auth: Option<Mechanisms>,
}

impl Capabilities {
    /// Reads the reply to EHLO; its first line is the host's name.
    pub(super) fn of(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.text().split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            // As old servers have it, `AUTH=LOGIN PLAIN` stands for `AUTH LOGIN PLAIN`, often beside it.
            let (keyword, old) = match keyword.split_once('=') {
                Some((auth, first)) if auth.eq_ignore_ascii_case("AUTH") => (auth, Some(first)),
                _ => (keyword, None),
            };
            let is = |name: &str| keyword.eq_ignore_ascii_case(name);
            if is("PIPELINING") {
                capabilities.pipelining = true;
            } else if is("SIZE") {
                let limit = words.next().and_then(|word| word.parse().ok());
                capabilities.size = Some(limit.unwrap_or(0));
            } else if is("8BITMIME") {
                capabilities.eight_bit_mime = true;
            } else if is("CHUNKING") {
                capabilities.chunking = true;
            } else if is("BINARYMIME") {
                capabilities.binary_mime = true;
            } else if is("SMTPUTF8") {
                capabilities.smtp_utf8 = true;
            } else if is("DSN") {
                capabilities.dsn = true;
            } else if is("DELIVERBY") {
                // More may follow behind a comma (RFC 2852 section 2).
                let least = words.next().and_then(|word| word.split(',').next()?.parse().ok());
                capabilities.deliver_by = Some(least.unwrap_or(0));
            } else if is("MT-PRIORITY") {
                capabilities.mt_priority = true;
            } else if is("ENHANCEDSTATUSCODES") {
                capabilities.enhanced_status_codes = true;
            } else if is("STARTTLS") {
                capabilities.start_tls = true;
            } else if is("REQUIRETLS") {
                capabilities.require_tls = true;
            } else if is("AUTH") {
                let mechanisms = capabilities.auth.get_or_insert_default();
                let names = old.into_iter().chain(words);
                names.filter_map(|name| Mechanism::read(name.as_bytes())).for_each(|one| mechanisms.insert(one));
            }
        }
        capabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_is_read_in_both_spellings_and_what_is_not_known_left_out() {
        for (lines, offered) in [
            ("AUTH PLAIN LOGIN", Some(&[Mechanism::Plain, Mechanism::Login][..])),
            ("AUTH=LOGIN\r\n250-auth plain", Some(&[Mechanism::Plain, Mechanism::Login])),
            ("AUTH GSSAPI NTLM", Some(&[])),
            ("AUTH", Some(&[])),
            ("AUTHORS=PLAIN", None),
            ("SIZE=1 PLAIN", None),
        ] {
            let mut input = format!("250-h.example\r\n250-{lines}\r\n250 HELP\r\n").as_bytes().into();
            let reply = crate::smtp::reply::ReplyParser::new().parse(&mut input).unwrap().unwrap();
            let offered = offered.map(|offered| offered.iter().copied().collect());
            assert_eq!(Capabilities::of(&reply).auth, offered, "{lines}");
        }
    }
}
