//! A client that is bound to senders is bound in From and Sender, too; what it may send is passed on as it is.

use mailsluice_crds::relay::Client as Entry;
use mailsluice_tests::{
    dialogue::{Dialogue, stuffed},
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
};

#[test]
fn from_and_sender_must_be_senders_that_the_client_may_use() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    let entry = Entry { networks: vec!["127.0.0.0/8".into()], ..Entry::default() };
    manifest.relay.clients = vec![Entry { senders: vec!["@example.org".into()], ..entry }];
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for (header, reply) in [
        ("From: Shop <shop@example.org>\r\n", "250 "),
        ("FROM: a@example.org,\r\n b@Example.org\r\nSender: a@example.org\r\nTo: x@bank.test\r\n", "250 "),
        ("Subject: no author\r\n", "250 "),
        (
            "From: Boss <boss@bank.test>\r\n",
            "550 5.7.1 From <boss@bank.test> is not an address that this client may use",
        ),
        ("From: a@example.org\r\nFrom : boss@bank.test\r\n", "550 5.7.1 From <boss@bank.test> "),
        ("From: a@example.org\r\nSender: boss@bank.test\r\n", "550 5.7.1 Sender <boss@bank.test> "),
        ("From: boss@bank.test <a@example.org>\r\n", "550 5.7.1 From <boss@bank.test> "),
        ("From: <a@example.org\r\n", "550 5.7.1 From cannot be read: "),
    ] {
        let text = format!("{header}\r\nFrom: boss@bank.test\r\n").into_bytes();
        for chunked in [false, true] {
            client.expect("MAIL FROM:<shop@example.org>", "250");
            client.expect("RCPT TO:<a@one.test>", "250");
            if chunked {
                client.send(&[format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat());
            } else {
                client.expect("DATA", "354");
                client.send(&stuffed(&text));
            }
            let said = client.reply();
            assert!(said.starts_with(reply), "{header:?} is answered {said:?}");
            if reply == "250 " {
                taken.push(text.clone());
            }
        }
    }
    let arrived = sink.await_messages(taken.len(), PATIENCE);
    let mut texts: Vec<Vec<u8>> = arrived.iter().map(|message| message.text().to_vec()).collect();
    texts.sort();
    taken.sort();
    assert_eq!(texts, taken, "not an octet is touched");
    assert!(relay.metric("mailsluice_smtp_refusals_total{code=\"550\"}") >= 10.0);
}
