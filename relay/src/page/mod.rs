//! The Monitor as a page for browsers: files without a build, served with headers that let nothing else run in it.
//!
//! - `main.js` is its table of contents: what the stream says, and what is drawn of it; `stream.js` follows the stream, `clock.js` keeps
//!   the relay's time; `hosts.js` and `details.js`, `connections.js`, `queue.js` and `schedule.js` draw; `advice.js` asks the
//!   catalogue; `dom.js` makes elements.

use axum::{
    Json, Router,
    extract::{Path, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use mailsluice_crds::catalogue::{Explanation, topics};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files, each with its path and its type.
const FILES: [(&str, &str, &str); 13] = [
    ("/", HTML, include_str!("index.html")),
    ("/page/page.css", CSS, include_str!("page.css")),
    ("/page/clock.svg", SVG, include_str!("clock.svg")),
    ("/page/main.js", JS, include_str!("main.js")),
    ("/page/stream.js", JS, include_str!("stream.js")),
    ("/page/clock.js", JS, include_str!("clock.js")),
    ("/page/dom.js", JS, include_str!("dom.js")),
    ("/page/hosts.js", JS, include_str!("hosts.js")),
    ("/page/details.js", JS, include_str!("details.js")),
    ("/page/connections.js", JS, include_str!("connections.js")),
    ("/page/queue.js", JS, include_str!("queue.js")),
    ("/page/schedule.js", JS, include_str!("schedule.js")),
    ("/page/advice.js", JS, include_str!("advice.js")),
];

/// What goes with every answer that is not open to all. Scripts and styles come from the page's own files alone, none is in the
/// page itself, and no text becomes markup: a browser that knows trusted types refuses a script that tries.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The page, its files, and what the catalogue says of a name: `/explain/NAME`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new().route("/explain/{name}", get(explain));
    for (path, kind, text) in FILES {
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

/// Adds the headers.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn file(path: &str) -> &'static str {
        FILES.iter().find(|(name, ..)| *name == path).unwrap_or_else(|| panic!("{path} is not served")).2
    }

    #[test]
    fn every_file_of_the_page_is_served_and_what_it_names_too() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .collect();
        let served: BTreeSet<String> =
            FILES.iter().map(|(path, ..)| path.strip_prefix("/page/").unwrap_or("index.html").to_owned()).collect();
        assert_eq!(there, served);
        let quoted = |text: &str, before: &str, within: &str| -> Vec<String> {
            let parts = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
            parts.map(|name| format!("{within}{name}")).collect()
        };
        for path in quoted(file("/"), "\"page/", "/page/") {
            file(&path);
        }
        for (path, kind, text) in FILES {
            if kind == JS {
                let imports = quoted(text, "from \"./", "/page/");
                assert!(!imports.is_empty() || ["/page/stream.js", "/page/clock.js", "/page/dom.js"].contains(&path));
                for path in imports {
                    file(&path);
                }
            }
        }
    }

    #[test]
    fn nothing_in_the_page_needs_what_its_policy_forbids_or_makes_markup_of_text() {
        let page = file("/");
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"), "inline");
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
        for (path, _, text) in FILES {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"] {
                assert!(!text.contains(word), "{path}: {word}");
            }
            // A namespace is a name, not an address that is asked.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("@import"), "{path}");
        }
    }
}
