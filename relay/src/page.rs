//! The Monitor as a page for browsers, and the catalogue that it asks.

use axum::{
    Json, Router,
    extract::{Path, Request},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use mailsluice_crds::catalogue::{Explanation, topics};
use mailsluice_page::File;

/// The page, its files, and what the catalogue says of a name: `/explain/NAME`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new().route("/explain/{name}", get(explain));
    for File { path, kind, text } in mailsluice_page::RELAY {
        router = router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }));
    }
    router
}

/// The same as `mailsluice-relay explain NAME -o json`.
async fn explain(Path(name): Path<String>) -> Response {
    match topics(&[name]) {
        Ok(topics) => Json(topics.iter().map(|topic| topic.explain()).collect::<Vec<Explanation>>()).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

/// Adds the headers that guard it.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    mailsluice_page::protect(response.headers_mut());
    response
}
