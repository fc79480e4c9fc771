//! What a client makes of hosts that break off, refuse, or say what makes no sense.

use super::{
    host::{self, Host, Line::*},
    *,
};

/// Sends a message to a host that follows this script; gives the error that ends the session.
async fn failure(lines: Vec<host::Line>) -> ClientError {
    failure_with(lines, config()).await
}

async fn failure_with(lines: Vec<host::Line>, config: Arc<Config>) -> ClientError {
    let host = Host::start(lines);
    let mut client = match Client::start(host.stream(), config, ()).await {
        Ok(client) => client,
        Err(error) => return error,
    };
    let one = envelope(&["b@b.example"]);
    let error = client.send(&one, &mut text()).await.unwrap_err();
    assert!(!client.is_usable(), "usable after {error}");
    let again = client.send(&one, &mut text()).await.unwrap_err();
    assert!(matches!(again.kind, ErrorKind::Closed));
    error
}

/// Where a session is cut: what has gone before, the stage, and what it means for the message.
fn stops() -> Vec<(Vec<host::Line>, Stage, Fate)> {
    let flight = || Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n");
    let greeted = || vec![Say("220 h\r\n"), Expect("EHLO c.example\r\n")];
    let ready = || [greeted(), vec![Say(EHLO), flight()]].concat();
    let body = || [ready(), vec![Say("250 a\r\n250 b\r\n354 c\r\n"), Expect("Hi\r\n.\r\n")]].concat();
    use Fate::{NotAccepted, Unknown};
    vec![
        (vec![], Stage::Banner, NotAccepted),
        (vec![Say("220-h\r\n22")], Stage::Banner, NotAccepted),
        (greeted(), Stage::Ehlo, NotAccepted),
        (ready(), Stage::MailFrom, NotAccepted),
        ([ready(), vec![Say("250 a\r\n")]].concat(), Stage::RcptTo, NotAccepted),
        ([ready(), vec![Say("250 a\r\n250 b\r\n")]].concat(), Stage::Data, NotAccepted),
        (body(), Stage::Reply, Unknown),
        ([body(), vec![Say("250-a\r\n25")]].concat(), Stage::Reply, Unknown),
    ]
}

#[tokio::test]
async fn a_lost_connection_says_where_and_whether_the_message_may_be_there() {
    for (mut lines, stage, fate) in stops() {
        lines.push(HangUp);
        let error = failure(lines).await;
        assert!(matches!(error.kind, ErrorKind::Closed), "{error:?}");
        assert_eq!((error.stage, error.fate), (stage, fate));
        assert_eq!(error.errno(), None);
    }
}

#[tokio::test]
async fn a_silent_host_runs_into_the_time_limit_of_its_stage() {
    const SHORT: Duration = Duration::from_millis(20);
    // In the order of `stops`: whose limit is short.
    let shorten: [fn(&mut Timeouts) -> &mut Duration; 8] = [
        |t| &mut t.banner,
        |t| &mut t.banner,
        |t| &mut t.hello,
        |t| &mut t.mail,
        |t| &mut t.rcpt,
        |t| &mut t.data,
        |t| &mut t.end,
        |t| &mut t.end,
    ];
    for ((mut lines, stage, fate), shorten) in stops().into_iter().zip(shorten) {
        lines.push(Silence);
        let mut config = Config::new("c.example");
        *shorten(&mut config.timeouts) = SHORT;
        let error = failure_with(lines, Arc::new(config)).await;
        match error.kind {
            ErrorKind::TimedOut(limit) => assert_eq!(limit, SHORT, "{stage}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((error.stage, error.fate), (stage, fate));
    }
}

#[test]
fn the_time_limits_are_at_least_those_of_rfc_5321_section_4_5_3_2() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let limits = Timeouts::default();
    for (name, limit, least) in [
        ("greeting", limits.banner, 5),
        ("MAIL", limits.mail, 5),
        ("RCPT", limits.rcpt, 5),
        ("DATA", limits.data, 2),
        ("data block", limits.block, 3),
        ("final dot", limits.end, 10),
    ] {
        assert!(limit >= minutes(least), "{name}: {limit:?}");
    }
}

#[tokio::test]
async fn a_421_anywhere_is_the_connection_s_end() {
    for (mut lines, stage, _) in stops() {
        if matches!(lines.last(), Some(Say(text)) if text.ends_with('2') || text.ends_with('5')) {
            continue;
        }
        lines.push(Say("421 4.3.2 closing\r\n"));
        lines.push(HangUp);
        let error = failure(lines).await;
        assert_eq!(error.reply().map(Reply::code), Some(421), "{error:?}");
        assert!(matches!(error.kind, ErrorKind::Reply(_)), "{error:?}");
        assert_eq!((error.stage, error.fate), (stage, Fate::NotAccepted));
    }
}

#[tokio::test]
async fn garbage_ends_the_session_and_is_shown() {
    for (mut lines, stage, fate) in stops() {
        let midway = matches!(lines.last(), Some(Say(text)) if !text.ends_with('\n'));
        lines.push(Say("SSH-2.0-x\r\n"));
        let error = failure(lines).await;
        match &error.kind {
            ErrorKind::Protocol(ReplyError::NotAReply(text)) => {
                assert!(text.ends_with("SSH-2.0-x"), "{text}, midway {midway}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((error.stage, error.fate), (stage, fate));
    }
}

#[tokio::test]
async fn a_host_that_refuses_the_session_ends_it() {
    let cases: [(Vec<host::Line>, Stage, u16); 5] = [
        (vec![Say("554 5.7.1 no\r\n")], Stage::Banner, 554),
        (vec![Say("450 later\r\n")], Stage::Banner, 450),
        (vec![Say("220 h\r\n"), Expect("EHLO c.example\r\n"), Say("450 x\r\n")], Stage::Ehlo, 450),
        (vec![Say("220 h\r\n"), Expect("EHLO c.example\r\n"), Say("521 x\r\n")], Stage::Ehlo, 521),
        (
            vec![
                Say("220 h\r\n"),
                Expect("EHLO c.example\r\n"),
                Say("500 x\r\n"),
                Expect("HELO c.example\r\n"),
                Say("550 y\r\n"),
            ],
            Stage::Ehlo,
            550,
        ),
    ];
    for (lines, stage, code) in cases {
        let error = failure(lines).await;
        assert!(matches!(error.kind, ErrorKind::Reply(_)), "{error:?}");
        assert_eq!((error.stage, error.reply().map(Reply::code)), (stage, Some(code)));
    }
}

#[tokio::test]
async fn replies_that_make_no_sense_end_the_session() {
    let head = || {
        vec![
            Say("220 h\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(EHLO),
            Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        ]
    };
    for (replies, stage) in [
        ("354 a\r\n250 b\r\n354 c\r\n", Stage::MailFrom),
        ("250 a\r\n354 b\r\n354 c\r\n", Stage::RcptTo),
        ("250 a\r\n250 b\r\n250 c\r\n", Stage::Data),
    ] {
        let error = failure([head(), vec![Say(replies)]].concat()).await;
        assert!(matches!(error.kind, ErrorKind::Protocol(ReplyError::Unexpected(_))), "{error:?}");
        assert_eq!(error.stage, stage);
    }
}

#[tokio::test]
async fn a_521_to_a_message_is_the_message_s_and_ends_the_connection() {
    let host = Host::start(vec![
        Say("220 h\r\n"),
        Expect("EHLO c.example\r\n"),
        Say(EHLO),
        Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 c\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("521 5.5.2 bare newline\r\n"),
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let one = envelope(&["b@b.example"]);
    let outcome = client.send(&one, &mut text()).await.unwrap();
    assert_eq!(codes(&outcome, 1), [(Stage::Reply, 521)]);
    assert!(!client.is_usable());
}

#[tokio::test]
async fn what_comes_unasked_between_messages_is_noticed_before_anything_is_sent() {
    let ready = [Say("220 h\r\n"), Expect("EHLO c.example\r\n")];
    for (said, code) in [("421 4.4.2 idle too long\r\n", Some(421)), ("250 Ok\r\n", Some(250)), ("", None)] {
        let together: &'static str = format!("{EHLO}{said}").leak();
        let mut lines = ready.to_vec();
        lines.extend([Say(together), HangUp]);
        let host = Host::start(lines);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        tokio::task::yield_now().await;
        let one = envelope(&["b@b.example"]);
        let error = client.send(&one, &mut text()).await.unwrap_err();
        assert_eq!((error.stage, error.fate), (Stage::Idle, Fate::NotAccepted));
        assert_eq!(error.reply().map(Reply::code), code, "{error:?}");
        assert_eq!(code.is_none(), matches!(error.kind, ErrorKind::Closed));
        assert!(!client.is_usable());
    }
}

/// A body that breaks after its first chunk.
struct Broken(bool);

impl BodySource for Broken {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(Some(Bytes::from_static(b"Half\r\n")))
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_never_ended_by_a_dot() {
    let host = Host::start(vec![
        Say("220 h\r\n"),
        Expect("EHLO c.example\r\n"),
        Say(EHLO),
        Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 c\r\n"),
        ExpectEnd,
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let one = envelope(&["b@b.example"]);
    let error = client.send(&one, &mut Broken(false)).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Body(_)));
    assert_eq!((error.stage, error.errno()), (Stage::Body, Some(5)));
    assert_eq!(error.fate, Fate::NotAccepted);
    assert!(!client.is_usable());
    drop(client);
    host.done().await;
}

/// A body of this many chunks of 64 KiB.
struct Chunks(usize);

impl BodySource for Chunks {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Ok(None);
        };
        self.0 = left;
        let line = [&[b'x'; 62][..], b"\r\n"].concat();
        Ok(Some(line.repeat(1024).into()))
    }
}

#[tokio::test]
async fn a_host_that_refuses_in_mid_body_and_hangs_up_is_heard() {
    for (said, code) in [("552 5.3.4 too large\r\n", Some(552)), ("421 bye\r\n", None)] {
        let host = Host::start(vec![
            Say("220 h\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(EHLO),
            Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
            Say("250 a\r\n250 b\r\n354 c\r\n"),
            Expect("xxx"),
            Say(said),
            HangUp,
        ]);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let one = envelope(&["b@b.example"]);
        let result = client.send(&one, &mut Chunks(64)).await;
        match (result, code) {
            (Ok(outcome), Some(code)) => assert_eq!(codes(&outcome, 1), [(Stage::Body, code)]),
            (Err(error), None) => {
                assert_eq!(error.reply().map(Reply::code), Some(421));
                assert_eq!((error.stage, error.fate), (Stage::Body, Fate::NotAccepted));
            }
            other => panic!("{other:?}"),
        }
        assert!(!client.is_usable());
    }
}

#[tokio::test]
async fn a_host_that_does_not_read_runs_into_the_time_limit() {
    let host = Host::start(vec![
        Say("220 h\r\n"),
        Expect("EHLO c.example\r\n"),
        Say(EHLO),
        Expect("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 a\r\n250 b\r\n354 c\r\n"),
        Silence,
    ]);
    let mut config = Config::new("c.example");
    config.timeouts.block = Duration::from_millis(20);
    let mut client = Client::start(host.stream(), Arc::new(config), ()).await.unwrap();
    let one = envelope(&["b@b.example"]);
    let error = client.send(&one, &mut Chunks(64)).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::TimedOut(limit) if limit.as_millis() == 20));
    assert_eq!((error.stage, error.fate), (Stage::Body, Fate::NotAccepted));
}

#[tokio::test]
async fn a_send_that_is_dropped_midway_leaves_the_client_unusable() {
    let host = Host::start(vec![Say("220 h\r\n"), Expect("EHLO c.example\r\n"), Say(EHLO), Silence]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let one = envelope(&["b@b.example"]);
    let dropped = tokio::time::timeout(Duration::from_millis(20), client.send(&one, &mut text())).await;
    assert!(dropped.is_err());
    assert!(!client.is_usable());
}
