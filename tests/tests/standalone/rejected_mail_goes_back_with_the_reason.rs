//! Mail that an administrator rejects goes back to its sender with the reason; what is being sent at that moment does not.

use std::{thread, time::Duration};

use mailsluice_ctl::words::act::Acted;
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

#[test]
fn rejected_mail_goes_back_with_the_reason() {
    let (host, senders) = (Sink::start(), Sink::start());
    let mut relay = Relay::start(&Manifest::to(host.address).route(&["example.org"], senders.address));
    let name = host.address.to_string();
    let _: Acted = relay.ctl_json(&["hold", &name]);
    for number in 0..150 {
        let sender = if number == 0 { "" } else { "shop@example.org" };
        Dialogue::open(relay.smtp).message(
            sender,
            &["a@one.test", "b@one.test"],
            &mail::text(&format!("no. {number}")),
        );
    }
    let acted: Acted = relay.ctl_json(&["reject", &name, "--by", "alice", "--reason", "sent by a program gone wild"]);
    assert_eq!((acted.results[0].messages, acted.results[0].failed), (150, 0), "{acted:?}");
    let bounces = senders.await_messages(149, PATIENCE);
    let first = String::from_utf8_lossy(&bounces[0].octets).replace("\r\n ", " ").replace("\r\n\t", " ");
    for says in [
        "Action: failed",
        "Status: 5.7.1",
        "rejected by the administrator of this relay: sent by a program gone wild",
        "rfc822; a@one.test",
        "rfc822; b@one.test",
    ] {
        assert!(first.contains(says), "{says:?} is not in {first}");
    }
    assert!(!first.contains("alice"), "who did it is for the log: {first}");
    assert_eq!(bounces[0].envelope.sender, "");
    relay.await_record("who did it", |record| {
        record.field("action").as_deref() == Some("reject") && record.field("by").as_deref() == Some("alice")
    });
    relay.kill();
    relay.restart();
    relay.await_empty();
    assert_eq!(
        (host.count(), senders.count()),
        (0, 149),
        "nothing comes back, and a message without a sender is not answered"
    );
    assert!(!relay.ctl(&["reject", &name]).success, "nothing waits for it any more");
}

#[test]
fn what_is_being_sent_is_neither_returned_nor_removed() {
    let host = Scripted::start(|line| {
        if line == "." {
            thread::sleep(Duration::from_secs(3));
        }
        None
    });
    let relay = Relay::start(&Manifest::to(host.address));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("on its way"));
    wait::until_equal(PATIENCE, "its text is sent", true, || host.heard().iter().any(|line| line == "."));
    for verb in ["reject", "drop"] {
        let acted: Acted = relay.ctl_json(&[verb, "--all"]);
        assert_eq!((acted.results[0].messages, acted.results[0].sending), (0, 1), "{acted:?}");
    }
    relay.await_empty();
    assert_eq!(relay.metric("mailsluice_recipients_delivered_total").round() as u32, 1);
}
