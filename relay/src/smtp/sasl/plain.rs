//! PLAIN (RFC 4616).

use super::text;

/// What a client shows by PLAIN.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// For whom it wants to act, where it says so.
    pub act_for: Option<String>,
    /// Who it is.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// Reads `[authzid] NUL authcid NUL passwd`; None where that is not what it is.
#[must_use]
pub fn plain(message: &[u8]) -> Option<Plain> {
    let mut parts = message.split(|octet| *octet == 0);
    let (act_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let act_for = if act_for.is_empty() { None } else { Some(text(act_for)?.to_owned()) };
    let password = std::str::from_utf8(password).ok().filter(|password| !password.is_empty())?;
    Some(Plain { act_for, user: text(user)?.to_owned(), password: password.to_owned() })
}

/// Writes what [`plain`] reads, for a user who acts for itself.
#[must_use]
pub(super) fn write(user: &str, password: &str) -> Vec<u8> {
    format!("\0{user}\0{password}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_read_as_rfc_4616_writes_it() {
        for (message, read) in [
            (&b"\0tim\0tanstaaftanstaaf"[..], Some((None, "tim", "tanstaaftanstaaf"))),
            (b"Ursel\0Kurt\0xipj3plmq", Some((Some("Ursel"), "Kurt", "xipj3plmq"))),
            (b"\0t\xc3\xa9\0\xc3\xa9 ", Some((None, "t\u{e9}", "\u{e9} "))),
            (b"", None),
            (b"tim", None),
            (b"\0tim", None),
            (b"\0\0password", None),
            (b"\0tim\0", None),
            (b"\0tim\0a\0b", None),
            (b"\0ti\nm\0a", None),
            (b"\0tim\0\xff", None),
        ] {
            let plain = plain(message);
            let plain = plain.as_ref().map(|p| (p.act_for.as_deref(), p.user.as_str(), p.password.as_str()));
            assert_eq!(plain, read, "{}", message.escape_ascii());
        }
        assert_eq!(write("tim", "tanstaaftanstaaf"), b"\0tim\0tanstaaftanstaaf");
    }
}
