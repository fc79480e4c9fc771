//! Mail with a null reverse-path, which reports have, is taken, sent and given up like all other, and never answered (RFC 5321
//! section 6.1).

use std::time::Duration;

use mailsluice_crds::{
    quantity::Interval,
    relay::{Role, Route},
};
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    wait,
};

/// Parameters of MAIL, a recipient with its parameters, and whether the host takes it in the end.
const CASES: &[(&str, &str, bool)] = &[
    ("", "<ok@one.test>", true),
    (" MT-PRIORITY=3", "<ok@one.test> NOTIFY=SUCCESS,FAILURE,DELAY", true),
    (" BY=60;NT", "<ok@one.test>", true),
    ("", "<no@one.test>", false),
    (" RET=FULL ENVID=7", "<no@one.test> NOTIFY=FAILURE", false),
    // Told that it is late, and then given up.
    ("", "<later@one.test>", false),
    ("", "<later@one.test> NOTIFY=DELAY,FAILURE", false),
    (" BY=1;N", "<later@one.test>", false),
    (" BY=1;R", "<later@one.test>", false),
    // No route is for it.
    ("", "<ok@elsewhere.example>", false),
];

fn send(client: &mut Dialogue, sender: &str, parameters: &str, recipient: &str) {
    client.expect(&format!("MAIL FROM:<{sender}>{parameters}"), "250");
    client.expect(&format!("RCPT TO:{recipient}"), "250");
    client.expect("DATA", "354");
    client.send(&stuffed(&mail::text("report")));
    let reply = client.reply();
    assert!(reply.starts_with("250"), "{parameters} {recipient}: {reply}");
}

#[test]
fn it_is_sent_as_it_is_and_nothing_that_becomes_of_it_is_reported() {
    for role in [Role::Relay, Role::Submission] {
        let host = Scripted::start(|line| {
            let verdict = |reply: &str| Some(reply.to_owned());
            match line {
                line if line.starts_with("RCPT TO:<no@") => verdict("550 5.1.1 nobody here"),
                line if line.starts_with("RCPT TO:<later@") => verdict("451 4.2.0 later"),
                _ => None,
            }
        });
        let mut manifest = Manifest::with_routes(Vec::new()).route(&["*.test"], host.address);
        manifest.relay.routes = manifest
            .relay
            .routes
            .into_iter()
            .map(|route| Route { sender_domain: Some("out.test".into()), ..route })
            .collect();
        manifest.relay.retry.warn_after = Some(Interval::from_secs(2));
        manifest.relay.retry.expire_after = Interval::from_secs(6);
        manifest.role = Some(role);
        let relay = Relay::start(&manifest);
        let mut client = Dialogue::open(relay.smtp);
        for (parameters, recipient, _) in CASES {
            send(&mut client, "", parameters, recipient);
        }
        // What has a sender is answered: once.
        send(&mut client, "shop@back.test", "", "<no@one.test>");
        relay.await_empty_for(PATIENCE + Duration::from_secs(10));

        let taken = CASES.iter().filter(|(.., taken)| *taken).count();
        wait::until_equal(PATIENCE, &format!("messages that the host took, {role:?}"), taken + 1, || {
            host.heard().iter().filter(|line| *line == ".").count()
        });
        let heard = host.heard();
        let senders = |start: &str| heard.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(senders("MAIL FROM:<shop@out.test>"), 1, "{heard:?}");
        assert_eq!(senders("MAIL FROM:<>") + 1, senders("MAIL FROM:"), "no sender is made up: {heard:?}");
        let to = |line: &&String| line.starts_with("RCPT TO:<") && !line.contains("@one.test>");
        assert_eq!(heard.iter().filter(to).collect::<Vec<_>>(), ["RCPT TO:<shop@back.test>"], "{role:?}");
        let given_up = CASES.len() - taken + 1;
        assert!(
            (relay.metric("mailsluice_recipients_bounced_total") - given_up as f64).abs() < f64::EPSILON,
            "{role:?}"
        );
        assert!(relay.metric("mailsluice_delays_told_total").abs() < f64::EPSILON, "{role:?}");
    }
}
