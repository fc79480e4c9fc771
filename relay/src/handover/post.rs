//! One request to a sibling: a batch on its way, and the answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::{Request, StatusCode, body::Frame, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use mailsluice_ctl::hold::HoldOn;
use tokio::{net::TcpStream, time};
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, Kinship, PATH, clocks, kinship::Stranger, wire};
use crate::{clock, spool::BodyReader};

/// How long a sibling may take to let itself be reached.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a batch and its answer may take; one is small, or a single large message.
const EXCHANGE: Duration = Duration::from_secs(60);
/// Octets of an answer at most.
const ANSWER: usize = 64 << 10;

/// A message that is about to be sent: its head, and its text.
pub(super) type Outgoing = (Bytes, BodyReader);

/// Why a sibling has not taken a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// Nothing of it can be there.
    #[error("{0}")]
    Refused(String),
    /// It may be there, or a part of it.
    #[error("{0}")]
    Unknown(String),
    /// The text of a message in it cannot be read from the spool.
    #[error("a text cannot be read")]
    Unreadable,
    /// This pod has nothing to show.
    #[error(transparent)]
    Stranger(#[from] Stranger),
}

/// Sends a batch to the sibling at `address`, with what is held of it.
pub(super) async fn post(
    address: &str,
    kinship: &Kinship,
    holds: &[HoldOn],
    batch: Vec<Outgoing>,
) -> Result<Answer, PostError> {
    let refused = |error: &dyn std::fmt::Display| PostError::Refused(format!("{address}: {error}"));
    let stream = match time::timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(refused(&error)),
        Err(_) => return Err(refused(&"it cannot be reached in time")),
    };
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| refused(&error))?;
    let _moving = AbortOnDropHandle::new(tokio::spawn(connection));
    let unreadable = Arc::new(AtomicBool::new(false));
    let noting = unreadable.clone();
    let texts = stream::iter(batch).flat_map(move |(head, text)| {
        let first = stream::once(async { Ok(Frame::data(head)) });
        let rest = stream::unfold((Some(text), noting.clone()), |(text, unreadable)| async {
            let mut text = text?;
            match text.next_chunk().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(Frame::data(chunk)), (Some(text), unreadable))),
                // The request ends with this, unfinished, and the sibling takes nothing of it.
                Err(error) => {
                    unreadable.store(true, Ordering::Relaxed);
                    Some((Err(error), (None, unreadable)))
                }
            }
        });
        first.chain(rest)
    });
    let (content_type, held) = match holds {
        [] => (wire::CONTENT_TYPE, None),
        holds => (wire::WITH_HOLDS, Some(wire::holds(holds).map_err(|error| refused(&error))?)),
    };
    let all = stream::iter(held.map(|held| Ok(Frame::data(held)))).chain(texts);
    let request = Request::post(PATH)
        .header(header::HOST, address)
        .header(header::AUTHORIZATION, format!("Bearer {}", kinship.token()?))
        .header(header::CONTENT_TYPE, content_type)
        .header(clocks::HEADER, clock::now().to_string())
        .body(StreamBody::new(Box::pin(all)))
        .map_err(|error| refused(&error))?;
    let unknown = |error: &dyn std::fmt::Display| PostError::Unknown(format!("{address}: {error}"));
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| unknown(&error))?;
        let status = response.status();
        let text =
            Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| unknown(&error))?.to_bytes();
        if status == StatusCode::OK {
            return serde_json::from_slice(&text).map_err(|error| unknown(&error));
        }
        Err(refused(&format_args!("{status}: {}", String::from_utf8_lossy(&text).trim())))
    };
    let answer = time::timeout(EXCHANGE, exchange).await.unwrap_or_else(|_| Err(unknown(&"no answer in time")));
    if unreadable.load(Ordering::Relaxed) { Err(PostError::Unreadable) } else { answer }
}
