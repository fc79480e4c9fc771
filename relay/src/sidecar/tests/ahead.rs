//! What is answered ahead of the gateway: how many round trips that saves, and what the application is told where the gateway refuses.

use super::*;

const CHUNKING: &str = "250-gateway\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-BINARYMIME\r\n250 CHUNKING\r\n";
const OURS: &str = "354 End the message with <CR><LF>.<CR><LF>\r\n";
const CHUNK: &str = "BDAT 7 LAST\r\nHi\r\n.\r\n";
const TEXT: &str = "Hi\r\n..\r\n.\r\n";
const STOPPING: &str = "421 4.3.2 Stopping\r\n";

/// An application that waits for each reply, up to the one to its text.
const BEGUN: [Turn; 6] = [Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(OK), Says("DATA\r\n"), Hears(OURS)];

fn told(text: &'static str, reply: &'static str) -> Vec<Turn> {
    [BEGUN.to_vec(), vec![Says(text), Hears(reply)]].concat()
}

#[tokio::test]
async fn a_message_of_one_step_at_a_time_is_two_round_trips() {
    // The gateway says nothing before it has heard all of a flight.
    let message = [Hears(BOTH), Says(OK), Says(OK), Hears(CHUNK), Says("250 2.0.0 queued as 1\r\n")];
    let stage = Stage::offering(CHUNKING, vec![message.repeat(2)]).await;
    let reception = stage.run(told(TEXT, "250 2.0.0 queued as 1\r\n").repeat(2)).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.accepted_bytes.get()), (2, 14));
    assert_eq!(reception.pool.count_ready(), 1);
}

#[tokio::test]
async fn a_message_that_comes_at_once_has_its_text_passed_on_as_a_chunk_too() {
    let message = [Hears(BOTH), Says(OK), Says(OK), Hears(CHUNK), Says("250 2.0.0 queued as 1\r\n")];
    let stage = Stage::offering(CHUNKING, vec![message.repeat(2)]).await;
    let all = "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\nHi\r\n..\r\n.\r\n";
    let replies = [Hears(OK), Hears(OK), Hears(OURS), Hears("250 2.0.0 queued as 1\r\n")];
    let sent =
        [vec![Says(all), Says(all)], replies.repeat(2), vec![Says("QUIT\r\n"), Hears("221 2.0.0 Bye\r\n")]].concat();
    let reception = stage.run(sent).await;
    assert_eq!((reception.metrics.accepted.get(), reception.pool.count_ready()), (2, 1));
}

#[tokio::test]
async fn a_text_without_an_octet_is_a_message() {
    let message = vec![Hears(BOTH), Says(OK), Says(OK), Hears("BDAT 0 LAST\r\n"), Says(OK)];
    let reception = Stage::offering(CHUNKING, vec![message]).await.run(told(".\r\n", OK)).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.accepted_bytes.get()), (1, 0));
}

#[tokio::test]
async fn a_mail_that_is_refused_is_told_to_its_recipients_by_the_gateways_own_words() {
    let no = "451 4.7.1 Too many messages\r\n";
    let first = "503 5.5.1 Send MAIL first\r\n";
    let data = "MAIL FROM:<a@one.test>\r\nDATA\r\n";
    let whole = [Hears(BOTH), Says(OK), Says(OK), Hears(CHUNK), Says(OK)];
    let gateway = [
        vec![Hears(BOTH), Says(no), Says(first)],
        vec![Hears(BOTH), Says(no), Says(first), Hears(data), Says(no), Says(first)],
        vec![Hears(MAIL), Says(no)],
        whole.to_vec(),
    ];
    let refused = vec![Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(no)];
    let mut sent = [refused.clone(), vec![Says(RCPT), Hears(no), Says("DATA\r\n"), Hears(no)]].concat();
    // Another one begins behind RSET, and without it.
    sent.extend([Says("RSET\r\n"), Hears(OK)].into_iter().chain(refused));
    sent.extend([Says(MAIL), Hears(AHEAD), Says("DATA\r\n"), Hears(no), Says("RSET\r\n"), Hears(OK)]);
    sent.extend([Says(MAIL), Hears(AHEAD), Says("BDAT 2\r\nHi"), Hears(no), Says("BDAT 0 LAST\r\n"), Hears(no)]);
    let reception = Stage::offering(CHUNKING, vec![gateway.concat()]).await.run([sent, told(TEXT, OK)].concat()).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.resumed.get()), (1, 0));
    assert_eq!(reception.pool.count_ready(), 1, "the connection is still good");
}

#[tokio::test]
async fn what_a_gateway_may_refuse_for_what_it_asks_is_put_to_it_at_once() {
    let large = "MAIL FROM:<a@one.test> SIZE=1001\r\n";
    let utf8 = "MAIL FROM:<a@one.test> SMTPUTF8\r\n";
    let (too_large, unknown) = ("552 5.3.4 Too large\r\n", "555 5.5.4 Unknown\r\n");
    let gateway = vec![Hears(large), Says(too_large), Hears(utf8), Says(unknown)];
    let sent = vec![Says(large), Hears(too_large), Says(RCPT), Hears("503 5.5.1 Send MAIL first\r\n")];
    let sent = [sent, vec![Says(utf8), Hears(unknown)]].concat();
    let _ = Stage::offering(CHUNKING, vec![gateway]).await.run(sent).await;
    // Without PIPELINING each command waits for its reply.
    let gateway =
        vec![Hears(MAIL), Says(OK), Hears(RCPT), Says(OK), Hears("DATA\r\n"), Says(GO_ON), Hears(TEXT), Says(OK)];
    let sent =
        vec![Says(MAIL), Hears(OK), Says(RCPT), Hears(OK), Says("DATA\r\n"), Hears(GO_ON), Says(TEXT), Hears(OK)];
    let _ = Stage::offering("250-gateway\r\n250 CHUNKING\r\n", vec![gateway]).await.run(sent).await;
}

#[tokio::test]
async fn a_text_that_the_gateway_would_not_ask_for_is_not_asked_for_here() {
    let binary = "MAIL FROM:<a@one.test> BODY=BINARYMIME\r\n";
    let (no, none) = ("503 5.5.1 By BDAT\r\n", "554 5.5.1 No valid recipients\r\n");
    let unknown = "550 5.1.1 Unknown\r\n";
    let begun = "MAIL FROM:<a@one.test> BODY=BINARYMIME\r\nRCPT TO:<b@one.test>\r\n";
    let gateway = [
        vec![Hears(begun), Says(OK), Says(OK), Hears("DATA\r\n"), Says(no), Hears("RSET\r\n"), Says(OK)],
        vec![Hears(BOTH), Says(OK), Says(unknown), Hears("DATA\r\n"), Says(none), Hears("RSET\r\n"), Says(OK)],
        // Behind a chunk there can be chunks alone.
        vec![Hears(BOTH), Says(OK), Says(OK), Hears("BDAT 2\r\nHi"), Says(OK), Hears("DATA\r\n"), Says(no)],
        vec![Hears("BDAT 0 LAST\r\n"), Says(OK)],
    ];
    let sent = [
        vec![
            Says(binary),
            Hears(AHEAD),
            Says(RCPT),
            Hears(OK),
            Says("DATA\r\n"),
            Hears(no),
            Says("RSET\r\n"),
            Hears(OK),
        ],
        vec![Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(unknown), Says("DATA\r\n"), Hears(none)],
        vec![Says("RSET\r\n"), Hears(OK), Says(MAIL), Hears(AHEAD), Says(RCPT), Hears(OK)],
        vec![Says("BDAT 2\r\nHi"), Hears(OK), Says("DATA\r\n"), Hears(no), Says("BDAT 0 LAST\r\n"), Hears(OK)],
    ];
    let reception = Stage::offering(CHUNKING, vec![gateway.concat()]).await.run(sent.concat()).await;
    assert_eq!(reception.metrics.accepted.get(), 1);
}

#[tokio::test]
async fn a_mail_that_was_not_passed_on_leaves_nothing_behind() {
    let other = "MAIL FROM:<c@one.test>\r\n";
    let gateway = vec![Hears("MAIL FROM:<c@one.test>\r\nRCPT TO:<b@one.test>\r\n"), Says(OK), Says(OK)];
    let sent = [Says(MAIL), Hears(AHEAD), Says("HELO app\r\n"), Hears("250 pod\r\n"), Says(other), Hears(AHEAD)];
    let stage = Stage::offering(CHUNKING, vec![gateway]).await;
    let _ = stage.run([sent.to_vec(), vec![Says(RCPT), Hears(OK)]].concat()).await;
}

#[tokio::test]
async fn a_gathered_text_goes_over_another_connection_where_the_first_cannot_have_it() {
    let accepted = [Hears(BOTH), Says(OK), Says(OK)];
    for first in [
        // It ends before the text is sent, or says no to it.
        accepted.to_vec(),
        [accepted.to_vec(), vec![Says(STOPPING)]].concat(),
        [accepted.to_vec(), vec![Hears(CHUNK), Says(STOPPING)]].concat(),
    ] {
        let second = [accepted.to_vec(), vec![Hears(CHUNK), Says("250 2.0.0 queued as 2\r\n")]].concat();
        let stage = Stage::offering(CHUNKING, vec![first, second]).await;
        let reception = stage.run(told(TEXT, "250 2.0.0 queued as 2\r\n")).await;
        let metrics = &reception.metrics;
        assert_eq!((metrics.accepted.get(), metrics.resumed.get(), metrics.unanswered.get()), (1, 1, 0));
    }
}

#[tokio::test]
async fn a_gathered_text_whose_answer_is_lost_is_sent_to_nobody_else() {
    let first = vec![Hears(BOTH), Says(OK), Says(OK), Hears(CHUNK)];
    // The other one, which hears nothing, is still there at the end.
    let Stage { reception, _folder, .. } = Stage::offering(CHUNKING, vec![first, vec![HearsTheEnd]]).await;
    let (ours, theirs, address) = pair().await;
    let session = tokio::spawn(session::run(reception.clone(), theirs, address));
    let hello = vec![Hears("220 pod ESMTP\r\n"), Says("HELO app\r\n"), Hears("250 pod\r\n")];
    drop(play(ours, [hello, BEGUN.to_vec(), vec![Says(TEXT), HearsTheEnd]].concat()).await);
    session.await.unwrap();
    let metrics = &reception.metrics;
    assert_eq!((metrics.accepted.get(), metrics.unanswered.get(), reception.pool.count_ready()), (0, 1, 1));
}

#[tokio::test]
async fn a_gathered_text_that_is_refused_is_refused_by_the_gateways_own_words() {
    let no = "452 4.3.1 Full\r\n";
    let gateway = vec![Hears(BOTH), Says(OK), Says(OK), Hears(CHUNK), Says(no), Hears("RSET\r\n"), Says(OK)];
    let reception = Stage::offering(CHUNKING, vec![gateway]).await.run(told(TEXT, no)).await;
    assert_eq!((reception.metrics.accepted.get(), reception.metrics.unanswered.get()), (0, 0));
}

#[tokio::test]
async fn nothing_of_a_text_with_a_bare_newline_goes_to_the_gateway() {
    let bare = "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing\r\n";
    for text in ["a\nb\r\n.\r\n", "a\r\n.\n.\r\n.\r\n", "\r.\r\n.\r\n", ".\r.\r\n.\r\n"] {
        let gateway = vec![Hears(BOTH), Says(OK), Says(OK), Hears("RSET\r\n"), Says(OK)];
        let sent = [BEGUN.to_vec(), vec![Says(text), Hears(bare), HearsTheEnd]].concat();
        let reception = Stage::offering(CHUNKING, vec![gateway]).await.run(sent).await;
        assert_eq!(reception.metrics.accepted.get(), 0, "{text:?}");
    }
}

#[tokio::test]
async fn a_text_of_which_no_more_can_be_gathered_is_asked_for_by_data() {
    let line = "x".repeat(70) + "\r\n";
    let text: &'static str = Box::leak(line.repeat(1_000).into_boxed_str());
    let accepted = vec![Hears(BOTH), Says(OK), Says(OK), Hears("DATA\r\n")];
    let gateway = [accepted.clone(), vec![Says(GO_ON), Hears(text), Hears(".\r\n"), Says(OK)]].concat();
    let sent = [BEGUN.to_vec(), vec![Says(text), Says(".\r\n"), Hears(OK)]].concat();
    let reception = Stage::offering(CHUNKING, vec![gateway]).await.run(sent.clone()).await;
    assert_eq!(reception.metrics.accepted_bytes.get(), text.len() as u64);
    // What it is refused by is told behind the text, and a yes to DATA is none to the message.
    for (says, hears) in [
        ("452 4.3.1 Full\r\n", "452 4.3.1 Full\r\n"),
        (
            "250 2.0.0 Ok\r\n",
            "451 4.4.2 The mail gateway 127.0.0.1:1 has not asked for the text: it says 250 2.0.0 Ok\r\n",
        ),
    ] {
        let gateway = [accepted.clone(), vec![Says(says), Hears("RSET\r\n"), Says(OK)]].concat();
        let sent = [BEGUN.to_vec(), vec![Says(text), Says(".\r\n"), Hears(hears)]].concat();
        let reception = Stage::offering(CHUNKING, vec![gateway]).await.run(sent).await;
        assert_eq!(reception.metrics.accepted.get(), 0);
    }
}
