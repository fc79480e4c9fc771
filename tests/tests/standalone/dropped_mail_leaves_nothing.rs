//! Mail that an administrator drops is gone from the queue and the spool, and nobody is told.

use std::process::Command;

use mailsluice_ctl::words::{act::Acted, queue::QueueSaid};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    sink::Sink,
};

#[test]
fn dropped_mail_leaves_nothing_in_the_spool_and_tells_nobody() {
    let (host, senders) = (Sink::start(), Sink::start());
    let mut relay = Relay::start(&Manifest::to(host.address).route(&["example.org"], senders.address));
    let name = host.address.to_string();
    let _: Acted = relay.ctl_json(&["hold", &name]);
    for number in 0..3 {
        let text = mail::text_of_size(&format!("no. {number}"), 300 << 10);
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &text);
    }
    let QueueSaid::Messages(page) = relay.ctl_json(&["queue", &name, "--most", "2"]) else { panic!("messages") };
    assert_eq!((page.messages.len(), page.more_after), (2, Some(page.messages[1].id)));
    let one = page.messages[0].id.to_string();
    let acted: Acted = relay.ctl_json(&["drop", &one, "--by", "alice", "--reason", "spam"]);
    assert_eq!(acted.results[0].messages, 1, "{acted:?}");
    assert!(!relay.ctl(&["drop", &one]).success, "it is there no more");
    assert_eq!(relay.monitor().queue.messages, 2);
    let _: Acted = relay.ctl_json(&["drop", &name]);
    // What was answered outlives a kill.
    relay.kill();
    let spool = relay.folder().join("spool");
    let listed = process::run(Command::new(program()).args(["spool", "list", "-o", "json"]).arg(&spool));
    assert_eq!(listed.split_whitespace().collect::<String>(), "[]", "the spool has mail: {listed}");
    relay.restart();
    relay.await_empty();
    let release: Acted = relay.ctl_json(&["release", &name]);
    assert!(release.results[0].found);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("after it"));
    assert_eq!(host.await_messages(1, PATIENCE)[0].subject(), "after it");
    relay.await_empty();
    assert_eq!((host.count(), senders.count()), (1, 0), "no message, and no report");
    relay.await_record("the message and who removed it", |record| {
        record.field("message").as_deref() == Some(&one)
            && record.field("by").as_deref() == Some("alice")
            && record.msg.contains("removed")
    });
    // The log tells its life, without the relay.
    relay.terminate();
    let log = relay.folder().join("log").display().to_string();
    let traced = relay.ctl(&["trace", &one, "--log", &log]);
    assert!(traced.success && traced.out.contains("was removed by an administrator"), "{traced:?}");
    assert!(traced.out.contains("removed by alice for 1 recipient, without a report"), "{traced:?}");
    assert!(!relay.ctl(&["trace", "0000000000000001", "--log", &log]).success, "a message that never was");
}
