//! XCLIENT, from hosts that may say it and from others.

use super::*;

/// The codes of the replies to these lines after the greeting; the driver refuses ADDR=192.0.2.66.
fn codes(allowed: bool, lines: &[&str]) -> (Vec<u16>, Option<Hello>, String) {
    let mut session = Session::new(Arc::new(Config { xclient: allowed, ..config() }));
    let client: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let (mut input, mut output, mut body) = (BytesMut::from(client.as_bytes()), BytesMut::new(), Vec::new());
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::NeedInput | Event::Close { .. } => break,
            Event::XClient(said) if said.address == "192.0.2.66".parse().ok() => {
                session.refuse(Reply::enhanced(421, (7, 0), "Full"));
            }
            _ => session.accept(),
        }
    }
    let output = String::from_utf8(output.to_vec()).unwrap();
    let seen = Seen { output: output.clone(), ..Seen::default() };
    (seen.codes()[1..].to_vec(), session.hello().cloned(), output)
}

#[test]
fn another_client_begins_where_the_greeting_was() {
    for (lines, expected) in [
        (&["EHLO f", "XCLIENT ADDR=192.0.2.7", "MAIL FROM:<>"][..], &[250, 220, 503][..]),
        (&["XCLIENT ADDR=192.0.2.7", "EHLO c", "MAIL FROM:<>"], &[220, 250, 250]),
        (&["EHLO f", "MAIL FROM:<>", "XCLIENT ADDR=192.0.2.7"], &[250, 250, 503]),
        (&["EHLO f", "MAIL FROM:<>", "RSET", "XCLIENT PORT=1"], &[250, 250, 250, 220]),
        (&["EHLO f", "XCLIENT", "XCLIENT ADDR=x", "NOOP"], &[250, 501, 501, 250]),
        (&["EHLO f", "XCLIENT ADDR=192.0.2.66", "NOOP"], &[250, 421]),
        (&["XCLIENT HELO=c PROTO=SMTP ADDR=192.0.2.7", "MAIL FROM:<>"], &[220, 250]),
    ] {
        assert_eq!(codes(true, lines).0, expected, "{lines:?}");
    }
    let (_, hello, _) = codes(true, &["XCLIENT HELO=c PROTO=SMTP"]);
    assert_eq!(hello, Some(Hello { extended: false, name: "c".into() }));
}

#[test]
fn xclient_is_offered_to_and_taken_from_those_alone_who_may() {
    let (_, _, output) = codes(true, &["EHLO f"]);
    assert!(output.contains("\r\n250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n"), "{output}");
    let (refused, _, output) = codes(false, &["EHLO f", "XCLIENT ADDR=192.0.2.7", "MAIL FROM:<>"]);
    assert!(!output.contains("250 XCLIENT") && output.contains("550 5.7.0 "), "{output}");
    assert_eq!(refused, [250, 550, 250]);
}
