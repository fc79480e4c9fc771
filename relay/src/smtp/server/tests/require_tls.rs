//! REQUIRETLS and TLS-Required on the way in (RFC 8689).

use super::*;

/// The replies to these lines, and the envelope of the message that came, if one did.
fn drive_under_tls(tls: bool, text: &str) -> (String, Option<Envelope>) {
    let mut session = Session::new(Arc::new(config()));
    if tls {
        session.secured();
    }
    let (mut input, mut output, mut body) = (BytesMut::from(text.as_bytes()), BytesMut::new(), Vec::new());
    let mut envelope = None;
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::NeedInput | Event::Close { .. } => break,
            Event::MessageEnd(found) => {
                envelope = Some(found);
                session.accept_with(Reply::enhanced(250, (0, 0), "Queued"));
            }
            Event::Flush | Event::NeedBody => {}
            _ => session.accept(),
        }
    }
    (String::from_utf8(output.to_vec()).unwrap(), envelope)
}

#[test]
fn requiretls_is_offered_and_taken_under_tls_only() {
    let mail = "EHLO c\r\nMAIL FROM:<a@a.example> REQUIRETLS\r\n";
    let (output, _) = drive_under_tls(true, mail);
    assert!(output.contains(" REQUIRETLS\r\n") && output.ends_with("250 2.1.0 Ok\r\n"), "{output}");
    let (output, _) = drive_under_tls(false, mail);
    assert!(!output.contains("REQUIRETLS\r\n") && output.ends_with("555 5.5.4 Unsupported parameter\r\n"), "{output}");

    let offers_tls = Config { start_tls: true, ..config() };
    let seen = drive(offers_tls, &[mail.as_bytes()]);
    let refused = "530 5.7.10 REQUIRETLS is for mail under TLS; send STARTTLS first\r\n";
    assert!(!seen.output.contains("REQUIRETLS\r\n") && seen.output.ends_with(refused), "{}", seen.output);
    for wrong in ["REQUIRETLS=1", "REQUIRETLS REQUIRETLS"] {
        let (output, _) = drive_under_tls(true, &format!("EHLO c\r\nMAIL FROM:<a@a.example> {wrong}\r\n"));
        assert!(output.ends_with("501 5.5.4 Malformed parameter\r\n"), "{wrong}: {output}");
    }
}

#[test]
fn what_mail_says_of_tls_counts_for_more_than_the_header() {
    for (tls, parameter, header, require_tls, tls_optional) in [
        (true, "", "Subject: x", false, false),
        (true, " REQUIRETLS", "Subject: x", true, false),
        (true, " REQUIRETLS", "TLS-Required: No", true, false),
        (true, "", "TLS-Required: No", false, true),
        (false, "", "TLS-Required: No", false, true),
        (false, "", "TLS-Required: Yes", false, false),
    ] {
        let text = format!(
            "EHLO c\r\nMAIL FROM:<a@a.example>{parameter}\r\nRCPT TO:<b@b.example>\r\nDATA\r\n{header}\r\n\r\nHi\r\n.\r\n"
        );
        let (output, envelope) = drive_under_tls(tls, &text);
        let asked = envelope.unwrap_or_else(|| panic!("{output}")).extensions.unwrap_or_default();
        let found = (asked.require_tls, asked.tls_optional);
        assert_eq!(found, (require_tls, tls_optional), "{parameter:?} {header}");
    }
}
