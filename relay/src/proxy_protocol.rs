//! The header of the PROXY protocol, versions 1 and 2: what a load balancer says first about the client it speaks for. Pure.
//!
//! After the specification of HAProxy (proxy-protocol.txt, 2020/03/05). Decisions:
//! - Version 1 is read to the letter: single spaces, addresses and ports as the specification writes them, CRLF within 107 octets.
//! - What follows UNKNOWN is ignored, as is everything behind LOCAL: the connection is the load balancer's own, a health check as
//!   a rule, and is judged by its own address.
//! - Addresses of other families (unspecified, UNIX sockets) and of datagrams say nothing about a client of SMTP: such a connection
//!   counts as the load balancer's own, too. A command, family or transport without a meaning is refused, as section 2.2 asks.
//! - Behind the addresses of version 2 there may be type-length-value fields. They have to be well formed, and a checksum among
//!   them (PP2_TYPE_CRC32C) has to be right; nothing else of them is used.
//! - A header of version 2 may have [`LONGEST`] octets: room for certificates in its fields, and no more than one client is worth.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a header at most.
pub const LONGEST: usize = 4096;

/// Octets of a header of version 1 at most, with its CRLF (section 2.1).
const LONGEST_LINE: usize = 107;

const VERSION_1: &[u8] = b"PROXY ";
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of version 2 before the addresses.
const HEAD: usize = 16;
/// The type of the field with a checksum over the whole header.
const CRC32C: u8 = 0x03;

/// What the start of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header: more has to come.
    Incomplete,
    /// A header of so many octets.
    Header {
        /// Its octets; the client's own begin behind them.
        length: usize,
        /// The client; none where the connection is the load balancer's own.
        client: Option<SocketAddr>,
    },
}

/// Why the start of a connection is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It begins as neither version does.
    #[error("no PROXY header")]
    Missing,
    /// It is longer than it may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It does not follow the specification.
    #[error("malformed PROXY header: {0}")]
    Malformed(&'static str),
}

/// Reads the header at the start of `input`, of which there may be any part so far.
///
/// # Errors
/// As soon as no octets that follow could make it a header.
pub fn parse(input: &[u8]) -> Result<Parsed, HeaderError> {
    let begins = |with: &[u8]| input.iter().zip(with).all(|(octet, expected)| octet == expected);
    if begins(VERSION_2) {
        return version_2(input);
    }
    if begins(VERSION_1) { version_1(input) } else { Err(HeaderError::Missing) }
}

fn version_1(input: &[u8]) -> Result<Parsed, HeaderError> {
    let window = input.get(..LONGEST_LINE).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if input.len() < LONGEST_LINE { Ok(Parsed::Incomplete) } else { Err(HeaderError::TooLong) };
    };
    let line = window.get(VERSION_1.len()..end).and_then(|rest| rest.strip_suffix(b"\r"));
    let line = line.ok_or(HeaderError::Malformed("a line ends in CR LF"))?;
    let words: Vec<&[u8]> = line.split(|octet| *octet == b' ').collect();
    let client = match words.as_slice() {
        [b"UNKNOWN", ..] => None,
        [family @ (b"TCP4" | b"TCP6"), source, destination, source_port, destination_port] => {
            let address = |text| address(text, family == b"TCP6").ok_or(HeaderError::Malformed("an address"));
            let port = |text| port(text).ok_or(HeaderError::Malformed("a port"));
            address(destination)?;
            port(destination_port)?;
            Some(SocketAddr::new(address(source)?, port(source_port)?))
        }
        _ => return Err(HeaderError::Malformed("a family, two addresses and two ports")),
    };
    Ok(Parsed::Header { length: end + 1, client })
}

fn address(text: &[u8], v6: bool) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if v6 { text.parse::<Ipv6Addr>().ok().map(IpAddr::V6) } else { text.parse::<Ipv4Addr>().ok().map(IpAddr::V4) }
}

/// A port without zeros before it.
fn port(text: &[u8]) -> Option<u16> {
    let digits = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

fn version_2(input: &[u8]) -> Result<Parsed, HeaderError> {
    let Some((head, rest)) = input.split_first_chunk::<HEAD>() else { return Ok(Parsed::Incomplete) };
    let [.., command, transport, high, low] = *head;
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed("a command of version 2")),
    };
    let octets = usize::from(u16::from_be_bytes([high, low]));
    let length = HEAD + octets;
    if length > LONGEST {
        return Err(HeaderError::TooLong);
    }
    let Some(content) = rest.get(..octets) else { return Ok(Parsed::Incomplete) };
    if local {
        return Ok(Parsed::Header { length, client: None });
    }
    let short = HeaderError::Malformed("addresses shorter than their family's");
    let (client, fields) = match transport {
        // TCP over IPv4, over IPv6.
        0x11 => content.split_first_chunk().map(|(octets, fields)| (Some(v4(*octets)), fields)).ok_or(short)?,
        0x21 => content.split_first_chunk().map(|(octets, fields)| (Some(v6(*octets)), fields)).ok_or(short)?,
        // Nothing that is specified, over nothing that is.
        0x00 => (None, &[][..]),
        // UDP over IPv4, over IPv6, UNIX streams and datagrams.
        0x12 => (None, content.get(12..).ok_or(short)?),
        0x22 => (None, content.get(36..).ok_or(short)?),
        0x31 | 0x32 => (None, content.get(216..).ok_or(short)?),
        _ => return Err(HeaderError::Malformed("a family and a transport that have a meaning")),
    };
    let before = length - fields.len();
    check_fields(fields, before, input.get(..length).unwrap_or_default())?;
    Ok(Parsed::Header { length, client })
}

fn v4(octets: [u8; 12]) -> SocketAddr {
    let [a, b, c, d, _, _, _, _, high, low, _, _] = octets;
    SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
}

fn v6(octets: [u8; 36]) -> SocketAddr {
    let (source, rest) = octets.split_at(16);
    let source: [u8; 16] = source.try_into().unwrap_or_default();
    let port = match rest {
        [.., high, low, _, _] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    SocketAddr::new(Ipv6Addr::from(source).into(), port)
}

/// Goes through the fields, which begin at octet `at` of the header.
fn check_fields(fields: &[u8], mut at: usize, header: &[u8]) -> Result<(), HeaderError> {
    let mut rest = fields;
    while let Some(([kind, high, low], after)) = rest.split_first_chunk() {
        let octets = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = after.split_at_checked(octets).ok_or(HeaderError::Malformed("a field's length"))?;
        at += 3;
        if *kind == CRC32C {
            let expected: [u8; 4] = value.try_into().map_err(|_| HeaderError::Malformed("a checksum's length"))?;
            // Over the header with zeros in the place of the checksum (section 2.2.4).
            let (before, behind) = header.split_at_checked(at).unwrap_or_default();
            let sum = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
            let sum = crc32c::crc32c_append(sum, behind.get(4..).unwrap_or_default());
            if sum != u32::from_be_bytes(expected) {
                return Err(HeaderError::Malformed("a wrong checksum"));
            }
        }
        at += octets;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(HeaderError::Malformed("a field's head")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, transport: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [VERSION_2, &[command, transport], &length, content].concat()
    }

    /// A header with a field of this type, and a checksum if asked for.
    fn with_checksum(content: &[u8], spoiled: bool) -> Vec<u8> {
        let mut header = binary(0x21, 0x11, &[content, &[0x02, 0, 1, b'x', CRC32C, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c::crc32c(&header) ^ u32::from(spoiled);
        let at = header.len() - 4;
        header[at..].copy_from_slice(&sum.to_be_bytes());
        header
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x10, 0x92, 0, 25];

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 9;
        v6[32..34].copy_from_slice(&[0xff, 0xff]);
        vec![
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 4242 25\r\n".to_vec(), Some("192.0.2.7:4242")),
            (b"PROXY TCP6 2001:db8::9 ::1 65535 0\r\n".to_vec(), Some("[2001:db8::9]:65535")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(), None),
            (binary(0x21, 0x11, &V4), Some("192.0.2.7:4242")),
            (binary(0x21, 0x21, &v6), Some("[2001:db8::9]:65535")),
            (binary(0x21, 0x11, &[&V4[..], &[0x04, 0, 2, 0, 0]].concat()), Some("192.0.2.7:4242")),
            (with_checksum(&V4, false), Some("192.0.2.7:4242")),
            (binary(0x20, 0x00, b""), None),
            (binary(0x20, 0x11, b"anything"), None),
            (binary(0x21, 0x00, b"anything"), None),
            (binary(0x21, 0x12, &V4), None),
            (binary(0x21, 0x31, &[b'/'; 216]), None),
        ]
    }

    #[test]
    fn headers_are_read_the_same_wherever_they_are_cut_and_nothing_behind_them_is_taken() {
        for (header, client) in good() {
            let client = client.map(|text| text.parse().unwrap());
            let whole = Ok(Parsed::Header { length: header.len(), client });
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(Parsed::Incomplete), "{} cut at {cut}", header.escape_ascii());
            }
            for behind in [&b""[..], b"EHLO x\r\n", b"\r\n", &header] {
                assert_eq!(parse(&[&header, behind].concat()), whole, "{}", header.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_known() {
        let line = |text: &str| format!("{text}\r\n").into_bytes();
        let bad = [
            b"EHLO c.example\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"proxy TCP4 192.0.2.7 192.0.2.1 4242 25\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4242 25\n".to_vec(),
            line("PROXY TCP4  192.0.2.7 192.0.2.1 4242 25"),
            line("PROXY TCP4 192.0.2.7 192.0.2.1 4242"),
            line("PROXY TCP4 192.0.2.7 192.0.2.1 4242 25 "),
            line("PROXY TCP4 192.0.2.07 192.0.2.1 4242 25"),
            line("PROXY TCP4 2001:db8::9 ::1 4242 25"),
            line("PROXY TCP6 192.0.2.7 192.0.2.1 4242 25"),
            line("PROXY TCP4 192.0.2.7 192.0.2.1 04242 25"),
            line("PROXY TCP4 192.0.2.7 192.0.2.1 +4242 25"),
            line("PROXY TCP4 192.0.2.7 192.0.2.1 65536 25"),
            line("PROXY UDP4 192.0.2.7 192.0.2.1 4242 25"),
            line(&format!("PROXY UNKNOWN {}", "x".repeat(92))),
            binary(0x22, 0x11, &V4),
            binary(0x11, 0x11, &V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x13, &V4),
            binary(0x21, 0x11, &[&V4[..], &[4]].concat()),
            binary(0x21, 0x11, &[&V4[..], &[4, 0, 2, 0]].concat()),
            binary(0x21, 0x11, &[&V4[..], &[CRC32C, 0, 3, 0, 0, 0]].concat()),
            binary(0x20, 0x00, &[0; LONGEST - HEAD + 1]),
            with_checksum(&V4, true),
        ];
        for input in bad {
            let shown = input.get(..60).unwrap_or(&input).escape_ascii();
            let error = parse(&input).expect_err(&shown.to_string());
            // From some octet on, and never other than in the end.
            let first = (0..=input.len()).find(|cut| parse(&input[..*cut]).is_err()).unwrap();
            for cut in first..=input.len() {
                assert_eq!(parse(&input[..cut]), Err(error), "{shown} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic_or_wait_for_ever(start in 0..3_usize, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let input = [[&b""[..], VERSION_1, VERSION_2][start], &rest].concat();
            if let Ok(Parsed::Header { length, .. }) = parse(&input) {
                prop_assert!(length <= input.len());
                for cut in 0..length {
                    prop_assert_eq!(parse(&input[..cut]), Ok(Parsed::Incomplete));
                }
            }
            prop_assert_ne!(parse(&[&input[..], &[b'x'; LONGEST]].concat()), Ok(Parsed::Incomplete));
        }
    }
}
