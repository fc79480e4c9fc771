//! The Monitor page of all relays, and the JSON behind it: on loopback only, which is where `kubectl port-forward` comes from.
//!
//! It names hosts and domains, so the API server decides who may see it: by `create` on `pods/portforward`.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;
use mailsluice_crds::catalogue::{Explanation, topics};
use serde::Serialize;

use crate::{
    board::Board,
    http::{answer_with, text},
};

/// The answer to whoever is at `peer`.
pub(crate) fn answer<B>(board: &Board, ready: bool, peer: IpAddr, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = if !mailsluice_page::is_loopback(peer) {
        text(StatusCode::FORBIDDEN, "this operator shows its relays on loopback only\n")
    } else if !mailsluice_page::names_this_machine(request.headers()) {
        text(StatusCode::FORBIDDEN, "ask for the relays by localhost or by an address\n")
    } else {
        content(board, ready, request.uri().path())
    };
    mailsluice_page::protect(response.headers_mut());
    response
}

fn content(board: &Board, ready: bool, path: &str) -> Response<Full<Bytes>> {
    if let Some(file) = mailsluice_page::OPERATOR.iter().find(|file| file.path == path) {
        return answer_with(StatusCode::OK, header::HeaderValue::from_static(file.kind), file.text);
    }
    if let Some(name) = path.strip_prefix("/explain/") {
        return explain(name);
    }
    if path == "/relays" {
        return if ready {
            json(&board.relays(Timestamp::now()))
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the operator is starting or stopping\n")
        };
    }
    let relay = path.strip_prefix("/relays/").and_then(|of| of.split_once('/'));
    match relay.and_then(|(namespace, name)| board.relay(namespace, name)) {
        Some(relay) => json(&relay),
        None if relay.is_some() => text(StatusCode::NOT_FOUND, "there is no such relay\n"),
        None => text(StatusCode::NOT_FOUND, "there are /, /relays, /healthz, /readyz and /metrics\n"),
    }
}

/// The same as `mailsluice-relay explain NAME -o json`.
fn explain(name: &str) -> Response<Full<Bytes>> {
    // Names are of letters, digits, dots and spaces: of those an address escapes the space alone.
    match topics(&[name.replace("%20", " ")]) {
        Ok(topics) => json(&topics.iter().map(|topic| topic.explain()).collect::<Vec<Explanation>>()),
        Err(error) => text(StatusCode::NOT_FOUND, format!("{error}\n")),
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(json) => answer_with(StatusCode::OK, header::HeaderValue::from_static("application/json"), json),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
