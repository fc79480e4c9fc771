//! AUTH: its exchanges, its order, and what breaks them.

use super::*;
use crate::smtp::{
    envelope::Envelope,
    sasl::{scram::StoredKeys, to_base64},
    server::{AuthOffer, Credentials, ScramAnswer},
};

/// What a driver answers: `shop` has the password `pencil`, and `good` is a good token.
pub(super) fn judge(shown: Credentials<'_>) -> Result<Option<ScramAnswer>, Reply> {
    let holds = match shown {
        Credentials::Password { user, password } => user == "shop" && password == b"pencil",
        Credentials::Token(token) => token == b"good",
        Credentials::ScramUser { .. } => {
            let keys = StoredKeys::of("pencil", b"salt", 4096);
            return Ok(Some(ScramAnswer { keys, binding: Vec::new(), nonce: "SERVER".into() }));
        }
        Credentials::Scram { user, proven } => user == "shop" && proven,
    };
    if holds { Ok(None) } else { Err(Reply::enhanced(535, (7, 8), "Authentication failed")) }
}

fn offering(in_clear: bool) -> Config {
    let auth = Some(AuthOffer { passwords: true, scram: true, tokens: true, in_clear });
    Config { auth, max_errors: 4, ..config() }
}

fn say(lines: &[&str]) -> Seen {
    let text: String = ["EHLO c.example"].iter().chain(lines).map(|line| format!("{line}\r\n")).collect();
    let whole = drive(offering(true), &[text.as_bytes()]);
    let octets: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(drive(offering(true), &octets), whole, "cut everywhere: {lines:?}");
    whole
}

fn last(seen: &Seen) -> &str {
    seen.output.lines().last().unwrap_or_default()
}

#[test]
fn each_mechanism_lets_those_in_who_show_the_right_thing() {
    let (user, password) = (to_base64(b"shop"), to_base64(b"pencil"));
    let plain = |text: &str| to_base64(text.as_bytes());
    for (lines, reply) in [
        (vec![format!("AUTH PLAIN {}", plain("\0shop\0pencil"))], "235 2.7.0 "),
        (vec!["auth plain".into(), plain("shop\0shop\0pencil")], "235 2.7.0 "),
        (vec![format!("AUTH PLAIN {}", plain("\0shop\0pen"))], "535 5.7.8 Authentication failed"),
        (vec![format!("AUTH PLAIN {}", plain("boss\0shop\0pencil"))], "535 5.7.8 Authentication failed"),
        (vec!["AUTH LOGIN".into(), user.clone(), password.clone()], "235 2.7.0 "),
        (vec![format!("AUTH LOGIN {user}"), password.clone()], "235 2.7.0 "),
        (vec!["AUTH LOGIN".into(), user.clone(), user.clone()], "535 5.7.8 "),
        (vec![format!("AUTH OAUTHBEARER {}", plain("n,a=x,\x01auth=Bearer good\x01\x01"))], "235 2.7.0 "),
        (vec![format!("AUTH XOAUTH2 {}", plain("user=x\x01auth=Bearer good\x01\x01"))], "235 2.7.0 "),
        (
            vec![format!("AUTH XOAUTH2 {}", plain("user=x\x01auth=Bearer bad\x01\x01"))],
            "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=",
        ),
        (vec![format!("AUTH XOAUTH2 {}", plain("user=x\x01auth=Bearer bad\x01\x01")), String::new()], "535 5.7.8 "),
        (vec![format!("AUTH OAUTHBEARER {}", plain("n,,\x01auth=Bearer bad\x01\x01")), "AQ==".into()], "535 5.7.8 "),
        (vec![format!("AUTH OAUTHBEARER {}", plain("n,,\x01auth=Bearer bad\x01\x01")), "*".into()], "535 5.7.8 "),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let seen = say(&lines);
        assert!(last(&seen).starts_with(reply), "{lines:?} is answered {}", last(&seen));
    }
}

#[test]
fn scram_goes_both_ways_and_only_with_the_right_proof() {
    let first = to_base64(b"n,,n=shop,r=client");
    let seen = say(&[&format!("AUTH SCRAM-SHA-256 {first}")]);
    assert_eq!(last(&seen), format!("334 {}", to_base64(b"r=clientSERVER,s=c2FsdA==,i=4096")));
    let proof = client_proof("pencil");
    let ended = say(&[&format!("AUTH SCRAM-SHA-256 {first}"), &proof, ""]);
    let replies: Vec<&str> = ended.output.lines().rev().take(2).collect();
    assert!(replies[0].starts_with("235 2.7.0 "), "{replies:?}");
    assert!(replies[1].starts_with("334 dj"), "the server proves that it knows the password, too: {replies:?}");
    let wrong = say(&[&format!("AUTH SCRAM-SHA-256 {first}"), &client_proof("pencils")]);
    assert!(last(&wrong).starts_with("535 5.7.8 "), "{}", last(&wrong));
    for (lines, reply) in [
        (vec!["AUTH SCRAM-SHA-256 bm8=".to_owned()], "501 5.5.4 "),
        (vec![format!("AUTH SCRAM-SHA-256 {first}"), "bm8=".into()], "501 5.5.4 "),
        (vec![format!("AUTH SCRAM-SHA-256 {first}"), proof.clone(), "bm8=".into()], "501 5.5.4 "),
        (vec![format!("AUTH SCRAM-SHA-256 {first}"), proof, "*".into()], "501 5.7.0 "),
        // Bound to a channel that there is none of.
        (vec![format!("AUTH SCRAM-SHA-256 {}", to_base64(b"p=tls-exporter,,n=shop,r=client"))], "535 5.7.8 "),
        (vec![format!("AUTH SCRAM-SHA-256-PLUS {}", to_base64(b"p=tls-exporter,,n=shop,r=client"))], "504 5.5.4 "),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let seen = say(&lines);
        assert!(last(&seen).starts_with(reply), "{lines:?} is answered {}", last(&seen));
    }
}

/// The client's final message, by arithmetic of its own.
fn client_proof(password: &str) -> String {
    use aws_lc_rs::{digest, hmac, pbkdf2};
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let mut salted = [0; 32];
    let rounds = std::num::NonZeroU32::new(4096).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"salt", password.as_bytes(), &mut salted);
    let key = mac(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &key);
    let bare = "c=biws,r=clientSERVER";
    let signature = mac(stored.as_ref(), format!("n=shop,r=client,r=clientSERVER,s=c2FsdA==,i=4096,{bare}").as_bytes());
    let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    to_base64(format!("{bare},p={}", to_base64(&proof)).as_bytes())
}

#[test]
fn auth_keeps_its_order_and_its_form() {
    let good = format!("AUTH PLAIN {}", to_base64(b"\0shop\0pencil"));
    let long = "A".repeat(12_288);
    let longer = "A".repeat(13_000);
    for (lines, reply) in [
        (vec!["AUTH"], "501 5.5.4 AUTH mechanism [initial-response]"),
        (vec!["AUTH PLAIN a b"], "501 5.5.4 "),
        (vec!["AUTH CRAM-MD5"], "504 5.5.4 "),
        (vec!["AUTH PLAIN %"], "501 5.5.2 "),
        (vec!["AUTH PLAIN ="], "501 5.5.4 "),
        (vec!["AUTH PLAIN", "*"], "501 5.7.0 "),
        (vec!["AUTH PLAIN", "AA="], "501 5.5.2 "),
        (vec!["AUTH PLAIN", ""], "501 5.5.4 "),
        (vec!["AUTH LOGIN", ""], "501 5.5.4 "),
        (vec!["AUTH PLAIN", "NOOP"], "501 5.5.4 "),
        (vec!["AUTH PLAIN", "*", "NOOP"], "250 2.0.0 "),
        (vec!["AUTH PLAIN", &long], "501 5.5.4 "),
        (vec!["AUTH PLAIN", &longer], "500 5.5.6 "),
        (vec!["AUTH PLAIN", &longer, "NOOP"], "250 2.0.0 "),
        (vec![&good, &good], "503 5.5.1 Authenticated already"),
        (vec!["MAIL FROM:<a@a.example>", &good], "503 5.5.1 AUTH within a transaction; send RSET first"),
        (vec!["HELO c.example", &good], "503 5.5.1 Send EHLO first"),
        (vec!["MAIL FROM:<a@a.example> AUTH=a"], "501 5.5.4 "),
    ] {
        let seen = say(&lines);
        assert!(last(&seen).starts_with(reply), "{:?} is answered {}", lines.first(), last(&seen));
    }
    let shut = say(&["AUTH PLAIN AHNob3AAcGVu"; 4]);
    assert_eq!(shut.closed, Some(CloseReason::TooManyErrors), "nobody tries for ever: {}", shut.output);
    let bare = drive(offering(true), &[b"EHLO c\r\nAUTH PLAIN\r\nAAA\nNOOP\r\n"]);
    assert_eq!(bare.closed, Some(CloseReason::BareNewline));
}

#[test]
fn auth_is_offered_where_nobody_can_listen() {
    let offered = |config: Config| drive(config, &[b"EHLO c.example\r\n"]).output;
    assert!(!offered(config()).contains("AUTH"));
    assert!(!offered(offering(false)).contains("AUTH"));
    assert!(
        offered(offering(true)).contains("250-AUTH SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n")
            || offered(offering(true)).contains("250 AUTH SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n")
    );
    let seen = drive(offering(false), &[b"EHLO c\r\nAUTH PLAIN AHNob3AAcGVuY2ls\r\n"]);
    assert!(last(&seen).starts_with("538 5.7.11 "), "{}", seen.output);
    let seen = drive(config(), &[b"EHLO c\r\nAUTH PLAIN AHNob3AAcGVuY2ls\r\n"]);
    assert!(last(&seen).starts_with("502 5.5.1 "), "{}", seen.output);
    let seen = drive(config(), &[b"EHLO c\r\nMAIL FROM:<a@a.example> AUTH=<>\r\n"]);
    assert!(last(&seen).starts_with("555 5.5.4 "), "{}", seen.output);
}

#[test]
fn under_tls_plus_is_offered_and_what_was_shown_in_clear_is_forgotten() {
    let mut session = Session::new(Arc::new(offering(true)));
    let (mut input, mut output, mut body) = (BytesMut::new(), BytesMut::new(), Vec::new());
    input.extend_from_slice(b"EHLO c\r\nAUTH PLAIN AHNob3AAcGVuY2ls\r\n");
    assert!(matches!(session.next(&mut input, &mut output, &mut body), Event::Authenticate(_)));
    session.accept();
    assert_eq!(session.next(&mut input, &mut output, &mut body), Event::NeedInput);
    assert!(session.is_authenticated());
    session.secured();
    assert!(!session.is_authenticated());
    output.clear();
    input.extend_from_slice(b"EHLO c\r\nAUTH SCRAM-SHA-256 eSwsbj1zaG9wLHI9eA==\r\n");
    // `y,,n=shop,r=x`: somebody has taken PLUS out of what was offered.
    let asked = Event::Authenticate(Credentials::Scram { user: "shop", proven: false });
    assert_eq!(session.next(&mut input, &mut output, &mut body), asked);
    let said = String::from_utf8_lossy(&output).into_owned();
    assert!(said.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"), "{said}");
}

#[test]
fn the_submitter_is_kept_only_from_those_who_have_shown_who_they_are() {
    let envelope = |lines: &[&str]| -> Envelope {
        let seen = say(&[lines, &["RCPT TO:<b@b.example>", "DATA", "x", "."]].concat());
        seen.messages.first().unwrap_or_else(|| panic!("{}", seen.output)).0.clone()
    };
    let mail = "MAIL FROM:<a@a.example> AUTH=e+3Dmc2@example.com";
    let said = |envelope: Envelope| envelope.extensions.and_then(|asked| asked.auth).map(String::from);
    assert_eq!(said(envelope(&[mail])), Some("<>".into()));
    let good = format!("AUTH PLAIN {}", to_base64(b"\0shop\0pencil"));
    assert_eq!(said(envelope(&[&good, mail])), Some("e+3Dmc2@example.com".into()));
    assert_eq!(said(envelope(&[&good, "MAIL FROM:<a@a.example>"])), None);
}
