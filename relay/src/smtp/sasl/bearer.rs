//! OAUTHBEARER (RFC 7628) and XOAUTH2: a bearer token, and what is said where it does not do.
//!
//! Whose token it is, the token itself says. The name that stands beside it is not looked at: most libraries put the sender's
//! address there, whoever sends.

const CONTROL_A: u8 = 1;

/// The token of `n,a=user,^Ahost=…^Aport=…^Aauth=Bearer token^A^A`; None where that is not what it is.
#[must_use]
pub fn oauth_bearer(message: &[u8]) -> Option<String> {
    let start = message.iter().position(|octet| *octet == CONTROL_A)?;
    let (header, fields) = message.split_at_checked(start)?;
    let mut header = header.split(|octet| *octet == b',');
    // `y` and `n`: the client binds nothing to the channel, and there is no OAUTHBEARER-PLUS (RFC 7628 section 3.1).
    let flag = header.next()?;
    let name = header.next()?;
    let sound = matches!(flag, b"n" | b"y") && (name.is_empty() || name.starts_with(b"a="));
    if !sound || header.next() != Some(&[]) || header.next().is_some() {
        return None;
    }
    token(fields.get(1..)?)
}

/// The token of `user=…^Aauth=Bearer token^A^A`; None where that is not what it is.
#[must_use]
pub fn xoauth2(message: &[u8]) -> Option<String> {
    if message.starts_with(b"user=") { token(message) } else { None }
}

/// The token among fields that each end in ^A, with one more at the end of all.
fn token(fields: &[u8]) -> Option<String> {
    let fields = fields.strip_suffix(&[CONTROL_A, CONTROL_A])?;
    let mut tokens = fields.split(|octet| *octet == CONTROL_A).filter_map(|field| {
        let value = field.strip_prefix(b"auth=")?;
        let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    let token = tokens.next()?;
    if !is_token(token) || tokens.next().is_some() {
        return None;
    }
    String::from_utf8(token.to_vec()).ok()
}

/// Whether a text has the characters of a token, those of RFC 6750 section 2.1.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(octet))
}

/// Writes what [`oauth_bearer`] reads: a token for this user, at a server by the name and port that it was called by.
pub(super) fn write_oauth_bearer(user: &str, token: &str, (host, port): (&str, u16)) -> Vec<u8> {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01").into_bytes()
}

/// Writes what [`xoauth2`] reads.
pub(super) fn write_xoauth2(user: &str, token: &str) -> Vec<u8> {
    format!("user={user}\x01auth=Bearer {token}\x01\x01").into_bytes()
}

/// What a client says when a token was refused, before it hears so (RFC 7628 section 3.2.3).
pub(super) const REFUSED: &[u8] = &[CONTROL_A];

/// What a client is told of a token that does not do, before it is refused (RFC 7628 section 3.2.2).
#[must_use]
pub fn refusal() -> &'static [u8] {
    br#"{"status":"invalid_token"}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_both_write_it_and_from_nothing_else() {
        for (message, read) in [
            (
                "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer vF9dft4qmT.c3Rvcg==\x01\x01",
                true,
            ),
            ("n,,\x01auth=bearer vF9dft4qmT.c3Rvcg==\x01\x01", true),
            ("y,,\x01auth=Bearer vF9dft4qmT.c3Rvcg==\x01\x01", true),
            ("p=tls-exporter,,\x01auth=Bearer vF9dft4qmT.c3Rvcg==\x01\x01", false),
            ("n,,\x01auth=Bearer vF9dft4qmT.c3Rvcg==\x01", false),
            ("n,,\x01auth=Bearer \x01\x01", false),
            ("n,,\x01auth=Basic vF9dft4qmT.c3Rvcg==\x01\x01", false),
            ("n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", false),
            ("n,,\x01auth=Bearer a b\x01\x01", false),
            ("n,x,\x01auth=Bearer a\x01\x01", false),
            ("auth=Bearer a\x01\x01", false),
            ("", false),
        ] {
            let expected = read.then(|| "vF9dft4qmT.c3Rvcg==".to_owned());
            assert_eq!(oauth_bearer(message.as_bytes()), expected, "{message:?}");
        }
        for (message, read) in [
            ("user=someuser@example.com\x01auth=Bearer ya29.vF9dft4\x01\x01", Some("ya29.vF9dft4")),
            ("user=\x01auth=Bearer a\x01\x01", Some("a")),
            ("auth=Bearer a\x01\x01", None),
            ("user=a\x01auth=Bearer a", None),
        ] {
            assert_eq!(xoauth2(message.as_bytes()).as_deref(), read, "{message:?}");
        }
    }

    #[test]
    fn a_token_is_written_as_rfc_7628_and_the_makers_of_xoauth2_have_it() {
        // The first example of RFC 7628 section 4.1.
        let server = ("server.example.com", 143);
        let message = write_oauth_bearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", server);
        assert_eq!(
            crate::smtp::sasl::to_base64(&message),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
        assert!(oauth_bearer(&write_oauth_bearer("a,b=c", "token", server)).is_some());
        let message = write_xoauth2("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        assert_eq!(
            crate::smtp::sasl::to_base64(&message),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
        assert_eq!(xoauth2(&message).as_deref(), Some("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"));
    }
}
