//! What the client makes of parameters that a host knows, and of those that it does not.

use super::*;
use crate::smtp::extensions::{Extensions, Notify, OriginalRecipient, RecipientExtensions, Return};

#[tokio::test]
async fn parameters_are_passed_on_to_a_host_that_offers_their_extension_and_to_no_other() {
    let asked = RecipientExtensions {
        notify: Some(Notify::SUCCESS.and(Notify::FAILURE)),
        original: OriginalRecipient::parse("rfc822;b+2Bx@b.example"),
    };
    let mut envelope = envelope(&["b@b.example", "c@b.example"]);
    envelope.extensions = Some(Box::new(Extensions { ret: Some(Return::Headers), envid: Some("QQ1".into()) }));
    envelope.recipients[0].extensions = Some(Box::new(asked));
    for (offer, mail, rcpt) in [
        (
            "250-h\r\n250-PIPELINING\r\n250 DSN\r\n",
            " RET=HDRS ENVID=QQ1",
            " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bx@b.example",
        ),
        ("250-h\r\n250 PIPELINING\r\n", "", ""),
    ] {
        let flight = format!(
            "MAIL FROM:<a@a.example>{mail}\r\nRCPT TO:<b@b.example>{rcpt}\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
        );
        let host = Host::start(vec![
            Say("220 h.example ESMTP\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(offer),
            ExpectOwned(flight),
            Say("250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"),
            Expect("Hi\r\n.\r\n"),
            Say("250 Ok\r\n"),
        ]);
        let (stream, _) = host.counted_stream();
        let mut client = Client::start(stream, config(), ()).await.unwrap();
        assert_eq!(client.send(&envelope, &mut text()).await.unwrap().stage, Stage::Reply);
        host.done().await;
    }
}
