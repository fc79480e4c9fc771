//! The Monitor as pages for browsers: files without a build, and what goes with them so that nothing else runs in them.
//!
//! - `shared/` is of both pages: `clock.js` keeps the server's time; `hosts.js` and `details.js`, `connections.js`, `clients.js` draw; `advice.js` asks the
//!   catalogue; `dom.js` makes elements;
//! - `relay/` is the page of one relay: `main.js` is its table of contents, what the stream says, and what is drawn of it; `stream.js`
//!   follows the stream, `queue.js` and `schedule.js` draw;
//! - `operator/` is the page of all relays that an operator watches: `main.js` asks and draws, `relays.js` is their table.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

const fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File { path, kind, text }
}

const STYLE: File = file("/page/page.css", CSS, include_str!("shared/page.css"));
const ICON: File = file("/page/clock.svg", SVG, include_str!("shared/clock.svg"));
const CLOCK: File = file("/page/clock.js", JS, include_str!("shared/clock.js"));
const DOM: File = file("/page/dom.js", JS, include_str!("shared/dom.js"));
const HOSTS: File = file("/page/hosts.js", JS, include_str!("shared/hosts.js"));
const DETAILS: File = file("/page/details.js", JS, include_str!("shared/details.js"));
const CONNECTIONS: File = file("/page/connections.js", JS, include_str!("shared/connections.js"));
const CLIENTS: File = file("/page/clients.js", JS, include_str!("shared/clients.js"));
const ADVICE: File = file("/page/advice.js", JS, include_str!("shared/advice.js"));

/// The page of a relay.
pub const RELAY: [File; 14] = [
    file("/", HTML, include_str!("relay/index.html")),
    STYLE,
    ICON,
    file("/page/main.js", JS, include_str!("relay/main.js")),
    file("/page/stream.js", JS, include_str!("relay/stream.js")),
    CLOCK,
    DOM,
    HOSTS,
    DETAILS,
    CONNECTIONS,
    CLIENTS,
    file("/page/queue.js", JS, include_str!("relay/queue.js")),
    file("/page/schedule.js", JS, include_str!("relay/schedule.js")),
    ADVICE,
];

/// The page of an operator.
pub const OPERATOR: [File; 12] = [
    file("/", HTML, include_str!("operator/index.html")),
    STYLE,
    ICON,
    file("/page/main.js", JS, include_str!("operator/main.js")),
    file("/page/relays.js", JS, include_str!("operator/relays.js")),
    CLOCK,
    DOM,
    HOSTS,
    DETAILS,
    CONNECTIONS,
    CLIENTS,
    ADVICE,
];

/// What goes with every answer that is not open to all. Scripts and styles come from the page's own files alone, none is in the
/// page itself, and no text becomes markup: a browser that knows trusted types refuses a script that tries.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds to an answer's headers what guards it.
pub fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Whether the peer is on this machine, or in this pod.
#[must_use]
pub fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Whether a request asks for this machine by `localhost` or an address. A browser on this machine could be made to ask by a name
/// of an attacker's that points here; it then sends that name.
#[must_use]
pub fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return true };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn text(page: &[File], path: &str) -> &'static str {
        page.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is not served")).text
    }

    #[test]
    fn every_file_of_a_page_is_served_and_what_it_names_too() {
        for (name, page) in [("relay", &RELAY[..]), ("operator", &OPERATOR[..])] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let there: BTreeSet<String> = ["shared", name]
                .into_iter()
                .flat_map(|folder| fs::read_dir(source.join(folder)).unwrap())
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let served: BTreeSet<String> =
                page.iter().map(|file| file.path.strip_prefix("/page/").unwrap_or("index.html").to_owned()).collect();
            assert_eq!(there, served, "{name}");
            let quoted = |text: &str, before: &str| -> Vec<String> {
                let parts = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
                parts.map(|name| format!("/page/{name}")).collect()
            };
            for path in quoted(text(page, "/"), "\"page/") {
                text(page, &path);
            }
            for file in page.iter().filter(|file| file.kind == JS) {
                let imports = quoted(file.text, "from \"./");
                let alone = ["/page/stream.js", "/page/clock.js", "/page/dom.js"].contains(&file.path);
                assert!(!imports.is_empty() || alone, "{name}: {}", file.path);
                for path in imports {
                    text(page, &path);
                }
            }
        }
    }

    #[test]
    fn nothing_in_a_page_needs_what_its_policy_forbids_or_makes_markup_of_text() {
        for page in [&RELAY[..], &OPERATOR[..]] {
            let html = text(page, "/");
            assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains(" onclick"), "inline");
            assert_eq!(html.matches("<script").count(), html.matches("<script type=\"module\" src=").count());
            for File { path, text, .. } in page {
                for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"] {
                    assert!(!text.contains(word), "{path}: {word}");
                }
                // A namespace is a name, not an address that is asked.
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("@import"), "{path}");
            }
        }
    }

    #[test]
    fn a_page_answers_to_names_of_this_machine_only() {
        for (host, allowed) in [
            ("localhost:8025", true),
            ("127.0.0.1:8025", true),
            ("[::1]:8025", true),
            ("[::1]", true),
            ("localhost", true),
            ("evil.example:8025", false),
            ("localhost.evil.example", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(names_this_machine(&headers), allowed, "{host}");
        }
    }

    #[test]
    fn this_machine_is_known_in_both_families() {
        for (peer, local) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(peer.parse().unwrap()), local, "{peer}");
        }
    }
}
