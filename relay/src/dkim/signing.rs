//! From a message that goes by in pieces to the header fields that sign it. Pure.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{
    Signer,
    canonical::{RelaxedBody, put_relaxed_field},
    header::{self, Field},
    key::KeyFault,
};
use crate::smtp::Domain;

/// Octets of a header that is read for a signature; that of a message which nobody tampered with is far shorter. A message with a
/// longer one goes unsigned.
const HEADER_MAX: usize = 256 << 10;

/// Characters in a line of the signature (RFC 5322 section 2.1.1).
const LINE: usize = 72;

/// Signed as often as they occur, and once more, so that none can be added (RFC 6376 section 8.15): what people see and what an
/// answer goes to.
const SEALED: [&str; 5] = ["From", "Reply-To", "To", "Cc", "Subject"];

/// The same where they occur; where they do not, the next host may still add them.
const SEALED_IF_THERE: [&str; 10] = [
    "Date",
    "Message-ID",
    "Sender",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Auto-Submitted",
];

/// Signed as often as they occur (RFC 6376 section 5.4.1). RFC 8058 section 3.1 asks for those of the list's.
const SIGNED: [&str; 15] = [
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Feedback-ID",
];

/// A message that is being read.
#[derive(Default)]
pub struct Signing {
    header: Vec<u8>,
    /// Octets of it in which there is no end.
    searched: usize,
    body: Option<BodyHash>,
}

struct BodyHash {
    relaxed: RelaxedBody,
    hash: digest::Context,
}

impl BodyHash {
    fn feed(&mut self, text: &[u8]) {
        let hash = &mut self.hash;
        self.relaxed.feed(text, &mut |octets| hash.update(octets));
    }
}

impl Signing {
    /// Takes the next piece.
    pub fn feed(&mut self, text: &[u8]) {
        if let Some(body) = &mut self.body {
            return body.feed(text);
        }
        if self.is_too_long() {
            return;
        }
        self.header.extend_from_slice(text);
        let unsearched = self.header.get(self.searched..).unwrap_or_default();
        let end = match self.searched {
            0 => header::end_of_header(unsearched),
            // Only the very first line can be the empty one on its own.
            _ => memchr::memmem::find(unsearched, b"\r\n\r\n").map(|at| at + 4),
        };
        match end {
            Some(end) => {
                let body = self.header.split_off(self.searched + end);
                self.begin_body().feed(&body);
            }
            None if self.header.len() > 3 => self.searched = self.header.len() - 3,
            None => {}
        }
    }

    /// The text is complete, be there a body or not.
    pub fn end(&mut self) {
        if self.body.is_none() && !self.is_too_long() {
            self.begin_body();
        }
    }

    fn begin_body(&mut self) -> &mut BodyHash {
        self.body.insert(BodyHash { relaxed: RelaxedBody::default(), hash: digest::Context::new(&digest::SHA256) })
    }

    /// Whether the header is here, so that it can be asked for its author.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the header is longer than any that is signed.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.body.is_none() && self.header.len() > HEADER_MAX
    }

    /// The domain of the message's author.
    #[must_use]
    pub fn author(&self) -> Option<Domain> {
        header::author_domain(&header::fields(&self.header))
    }

    /// The fields `DKIM-Signature`, one for each key, to stand in front of the message; `time` is in seconds since the epoch.
    ///
    /// # Errors
    /// A key failed.
    pub fn finish(mut self, signer: &Signer, time: i64) -> Result<Vec<u8>, KeyFault> {
        self.end();
        let Some(BodyHash { relaxed, mut hash }) = self.body else { return Ok(Vec::new()) };
        relaxed.finish(&mut |octets| hash.update(octets));
        let body_hash = BASE64.encode(hash.finish());
        let fields = header::fields(&self.header);
        let (names, mut signed) = signed_fields(&fields);
        let common = signed.len();
        let mut out = Vec::new();
        for (selector, key) in &signer.keys {
            let value = value(key.algorithm(), &signer.domain, selector, time, &names, &body_hash);
            signed.truncate(common);
            put_relaxed_field(b"DKIM-Signature", value.as_bytes(), &mut signed);
            let signature = BASE64.encode(key.sign(&signed)?);
            out.extend_from_slice(b"DKIM-Signature:");
            out.extend_from_slice(value.as_bytes());
            let mut rest = signature.as_str();
            while !rest.is_empty() {
                let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
                out.extend_from_slice(b"\r\n\t");
                out.extend_from_slice(line.as_bytes());
                rest = after;
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(out)
    }
}

/// The names of the fields that are signed, and their canonical form, each with its CRLF. Of fields of one name the last comes
/// first (RFC 6376 section 5.4.2).
fn signed_fields(fields: &[Field<'_>]) -> (Vec<&'static str>, Vec<u8>) {
    let mut names = Vec::new();
    let mut signed = Vec::new();
    let sealed = SEALED.iter().map(|name| (name, true, true));
    let if_there = SEALED_IF_THERE.iter().map(|name| (name, true, false));
    let as_often = SIGNED.iter().map(|name| (name, false, false));
    for (name, once_more, though_absent) in sealed.chain(if_there).chain(as_often) {
        let mut any = false;
        for (written, value) in fields.iter().rev().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())) {
            any = true;
            names.push(*name);
            put_relaxed_field(written, value, &mut signed);
            signed.extend_from_slice(b"\r\n");
        }
        if once_more && (any || though_absent) {
            names.push(*name);
        }
    }
    (names, signed)
}

/// The value of the signature's field up to its own signature, in lines (RFC 6376 section 3.5).
fn value(algorithm: &str, domain: &str, selector: &str, time: i64, names: &[&str], body_hash: &str) -> String {
    let mut value = format!(" v=1; a={algorithm}; c=relaxed/relaxed;\r\n\td={domain}; s={selector};\r\n\tt={time};");
    let mut column = LINE;
    for (index, name) in names.iter().enumerate() {
        let word = if index == 0 { format!(" h={name}") } else { format!(":{name}") };
        column += word.len();
        if column > LINE {
            value.push_str(if index == 0 { "" } else { "\r\n\t" });
            column = word.len();
        }
        value.push_str(&word);
    }
    value.push_str(";\r\n\tbh=");
    value.push_str(body_hash);
    value.push_str(";\r\n\tb=");
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dkim::{Key, NewKey};

    fn signer() -> Signer {
        let key = |kind| Arc::new(Key::generate(kind).unwrap().0);
        let keys = vec![("rsa".to_owned(), key(NewKey::Rsa)), ("ed".to_owned(), key(NewKey::Ed25519))];
        Signer { domain: "example.org".into(), keys }
    }

    fn sign(signer: &Signer, pieces: &[&[u8]]) -> String {
        let mut signing = Signing::default();
        for piece in pieces {
            signing.feed(piece);
        }
        String::from_utf8(signing.finish(signer, 1_795_000_000).unwrap()).unwrap()
    }

    #[test]
    fn a_message_is_signed_alike_wherever_it_is_cut() {
        let signer = signer();
        for text in [
            &b"From: a@example.org\r\nSubject: x\r\n\r\nBody\r\n\r\n"[..],
            b"From: a@example.org\r\n\r\n",
            b"From: a@example.org\r\n",
            b"\r\nbody without a header\r\n",
            b"",
        ] {
            let whole = sign(&signer, &[text]);
            assert_eq!(whole.matches("DKIM-Signature:").count(), 2);
            for cut in 0..=text.len() {
                let (one, two) = text.split_at(cut);
                assert_eq!(sign(&signer, &[one, two]), whole, "{} cut at {cut}", text.escape_ascii());
            }
            let octets: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(sign(&signer, &octets), whole, "{} octet by octet", text.escape_ascii());
        }
    }

    #[test]
    fn what_people_see_is_sealed_and_the_lines_are_short() {
        let text =
            b"From: a@example.org\r\nTo: b@one.test\r\nto: c@one.test\r\nDate: now\r\nList-Id: <l>\r\nX: y\r\n\r\n";
        let signed = sign(&signer(), &[text]);
        let unfolded = signed.replace("\r\n\t", "");
        let names = unfolded.split(" h=").nth(1).unwrap().split(';').next().unwrap();
        assert_eq!(names, "From:From:Reply-To:To:To:To:Cc:Subject:Date:Date:List-Id");
        assert!(signed.lines().all(|line| line.len() <= 78), "{signed}");
        assert!(signed.ends_with("\r\n") && !signed.contains("\r\n\r\n"));
        // RFC 6376 section 3.4.5: the hash of an empty body in the relaxed form is that of nothing.
        assert!(unfolded.contains("bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"), "{unfolded}");
        assert!(
            unfolded.contains("a=rsa-sha256; c=relaxed/relaxed;d=example.org; s=rsa;t=1795000000; h="),
            "{unfolded}"
        );
    }

    #[test]
    fn a_header_without_end_is_not_gathered_without_end() {
        let mut signing = Signing::default();
        for _ in 0..100 {
            signing.feed(&b"X: yyyyyyyyyyyyyyy\r\n".repeat(1_000));
        }
        assert!(signing.is_too_long() && !signing.has_header());
        assert!(signing.header.len() < 2 * HEADER_MAX);
    }
}
