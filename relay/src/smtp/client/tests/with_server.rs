//! The client session against the server session of this crate.

use bytes::BytesMut;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::smtp::server::{self, Event, Session};

/// What the server took.
type Messages = Vec<(Envelope, Vec<u8>)>;

/// A driver as small as can be; refuses recipients of `no.example`.
async fn serve(mut stream: DuplexStream, config: server::Config) -> Messages {
    let mut session = Session::new(Arc::new(config));
    let (mut input, mut output, mut body) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let mut messages = Vec::new();
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::NeedInput | Event::NeedBody => {
                stream.write_all(&output.split()).await.unwrap();
                if stream.read_buf(&mut input).await.unwrap() == 0 {
                    return messages;
                }
            }
            Event::Turn { .. } | Event::Authenticate(_) | Event::StartTls | Event::Handshake | Event::XClient(_) => {
                panic!("none is offered")
            }
            Event::Flush => stream.write_all(&output.split()).await.unwrap(),
            Event::CheckSender { .. } | Event::BodyStart { .. } => session.accept(),
            Event::CheckRecipient { recipient, .. } => match recipient.path.domain() {
                Some("no.example") => session.refuse(Reply::enhanced(550, (7, 1), "No")),
                _ => session.accept(),
            },
            Event::MessageEnd(envelope) => {
                messages.push((envelope, std::mem::take(&mut body)));
                session.accept();
            }
            Event::MessageRefused { .. } | Event::MessageDropped => body.clear(),
            Event::Close { .. } => {
                stream.write_all(&output.split()).await.unwrap();
                return messages;
            }
        }
    }
}

/// A body in chunks as given.
struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl BodySource for Pieces {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.0.next().map(Bytes::from))
    }
}

/// Sends each text in chunks of this size through a connection with buffers of that size.
async fn pass_on(texts: &[Vec<u8>], chunk: usize, buffer: usize) -> Messages {
    let (near, far) = tokio::io::duplex(buffer);
    let server = tokio::spawn(serve(far, server::Config::new("s.example", 1 << 30)));
    let mut client = Client::start(near, config(), ()).await.unwrap();
    for text in texts {
        let pieces: Vec<Vec<u8>> = text.chunks(chunk).map(<[u8]>::to_vec).collect();
        let envelope = Envelope {
            size: Some(text.len() as u64),
            body: if text.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
            ..envelope(&["b@b.example", "x@no.example", "\"q > q\"@b.example"])
        };
        let outcome = client.send(&envelope, &mut Pieces(pieces.into_iter())).await.unwrap();
        let seen = codes(&outcome, 3);
        assert_eq!(seen, [(Stage::Reply, 250), (Stage::RcptTo, 550), (Stage::Reply, 250)]);
    }
    client.quit().await.unwrap();
    server.await.unwrap()
}

#[tokio::test]
async fn a_message_arrives_octet_for_octet_with_its_envelope() {
    let texts: Vec<Vec<u8>> = [
        &b""[..],
        b"\r\n",
        b".\r\n",
        b"..\r\n.\r\n...\r\n",
        b"Subject: x\r\n\r\nbody\r\n\r\n\r\n",
        b".hidden\r\n\r\n.\r\n",
        b"\xff\xfe\xc3\xa9\r\n",
        b"a\0b\r\n",
    ]
    .iter()
    .map(|text| text.to_vec())
    .chain([[&b"z".repeat(200_000)[..], b"\r\n"].concat()])
    .collect();
    for chunk in [1, 7, 100_000] {
        let seen = pass_on(&texts, chunk, 4096).await;
        assert_eq!(seen.len(), texts.len());
        for ((envelope, seen), text) in seen.iter().zip(&texts) {
            let shown = text.get(..20).unwrap_or(text).escape_ascii();
            assert_eq!(seen, text, "{shown} in chunks of {chunk}");
            assert_eq!(envelope.size, Some(text.len() as u64));
            assert_eq!(envelope.body == BodyType::SevenBit, text.is_ascii());
            let to: Vec<&str> = envelope.recipients.iter().map(|r| r.path.as_str()).collect();
            assert_eq!(to, ["b@b.example", "\"q > q\"@b.example"]);
        }
    }
}

#[tokio::test]
async fn a_thousand_recipients_do_not_block_even_the_smallest_buffers() {
    for buffer in [1, 16, 64 * 1024] {
        let (near, far) = tokio::io::duplex(buffer);
        let server = tokio::spawn(serve(far, server::Config::new("s.example", 1 << 20)));
        let mut client = Client::start(near, config(), ()).await.unwrap();
        let mut many = envelope(&[]);
        for number in 0..1100 {
            let domain = if number % 3 == 0 { "no" } else { "yes" };
            let path = format!("user{number}@{domain}.example").parse().unwrap();
            many.recipients.push(Recipient::new(path));
        }
        let outcome = client.send(&many, &mut text()).await.unwrap();
        let seen = codes(&outcome, 1100);
        for (number, verdict) in seen.iter().enumerate() {
            let expected = match number % 3 {
                0 => (Stage::RcptTo, 550),
                _ => (Stage::Reply, 250),
            };
            assert_eq!(*verdict, expected, "recipient {number}");
        }
        client.quit().await.unwrap();
        let messages = server.await.unwrap();
        assert_eq!(messages[0].0.recipients.len(), 733);
    }
}

#[tokio::test]
async fn recipients_beyond_the_host_s_limit_are_told_to_wait() {
    let (near, far) = tokio::io::duplex(4096);
    let server = server::Config { max_recipients: 2, ..server::Config::new("s.example", 1 << 20) };
    let server = tokio::spawn(serve(far, server));
    let mut client = Client::start(near, config(), ()).await.unwrap();
    let three = envelope(&["x@b.example", "y@b.example", "z@b.example"]);
    let outcome = client.send(&three, &mut text()).await.unwrap();
    let expected = [(Stage::Reply, 250), (Stage::Reply, 250), (Stage::RcptTo, 452)];
    assert_eq!(codes(&outcome, 3), expected);
    drop(client);
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_can_move_between_threads() {
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(serve(far, server::Config::new("s.example", 1 << 20)));
    let task = tokio::spawn(async move {
        let mut client = Client::start(near, config(), Notes::default()).await.unwrap();
        client.send(&envelope(&["b@b.example"]), &mut text()).await
    });
    assert_eq!(task.await.unwrap().unwrap().reply.code(), 250);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_of_whole_lines_arrives_as_it_was(
        lines in proptest::collection::vec("[.]{0,2}[ -~\u{e9}]{0,20}", 0..20),
        chunk in 1..50usize,
        buffer in 1..300usize,
    ) {
        let text: Vec<u8> = lines.iter().flat_map(|l| [l.as_bytes(), b"\r\n"].concat()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let texts = [text.clone(), b"next\r\n".to_vec()];
        let seen = runtime.block_on(pass_on(&texts, chunk, buffer));
        prop_assert_eq!(&seen[0].1, &text);
        prop_assert_eq!(&seen[1].1, &texts[1]);
    }
}
