//! `docs/errors.md`: the catalogue as a page.

use std::fmt::Write as _;

use super::{Explanation, Kind, explain_all};

/// How to write it anew after a change of the catalogue.
pub const REGENERATE: &str = "cargo run -p mailsluice-crds --bin generate-docs";

/// Where it stands, from the crate's folder.
pub const FILE: &str = "../docs/errors.md";

const HEAD: &str = "\
# Reasons and codes

What the Monitor, the status of an SMTPRelay and the log name: why mail waits, and what went wrong. `mailsluice-relay explain` says
the same at the terminal, of a name, of a reply, or of a whole line that is pasted in quotes:

```console
$ mailsluice-relay explain ECONNREFUSED
$ mailsluice-relay explain 451 4.7.1
$ mailsluice-relay explain 'CERT_EXPIRED at StartTls with 192.0.2.1:25, 3 attempts since …'
```

A row of the Monitor has a `reason`, which is one of the few below, and in `lastError` the code of what went wrong last. Codes of
others stay as they are: the operating system's, those of the DNS, of TLS, and of the host's reply.
";

/// The kinds, with what stands above their tables.
const CHAPTERS: [(Kind, &str); 10] = [
    (
        Kind::Reason,
        "`retry.first` and `retry.longest` are those of the SMTPRelay: 5 minutes and 4 hours unless set. Mail that waits goes back \
         to its sender after `retry.expireAfter`.",
    ),
    (Kind::RelayProblem, "They are in `problems` of the Monitor, and hinder more than one host."),
    (Kind::System, "With their numbers on Linux."),
    (
        Kind::Route,
        "NXDOMAIN, NULL_MX, NO_ADDRESS, MX_LOOP, PRIVATE_ADDRESS and NO_ROUTE of a recipient's own domain return its mail at once; \
         of a smarthost they suspend it, since it is its administrator who has to act.",
    ),
    (Kind::Tls, "Those of certificates have its names and dates in their text."),
    (
        Kind::TlsAlert,
        "With them a host ends the handshake ([RFC 8446](https://www.rfc-editor.org/rfc/rfc8446) section 6).",
    ),
    (
        Kind::Auth,
        "Before the host has said anything to the credentials; what it says to them is a reply such as `535 5.7.8`.",
    ),
    (
        Kind::Reply,
        "By their first three digits ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321) section 4.2). Of a code that is not here the \
         first digit decides.",
    ),
    (
        Kind::EnhancedStatus,
        "The second part of a reply ([RFC 3463](https://www.rfc-editor.org/rfc/rfc3463), \
         [registry](https://www.iana.org/assignments/smtp-enhanced-status-codes/)). X is 4 where it is tried again, and 5 where the \
         mail goes back to its sender. Of a detail that is not here its subject decides.",
    ),
    (Kind::Own, "What no standard has a name for."),
];

/// The page.
#[must_use]
pub fn page() -> String {
    let all = explain_all();
    let mut page = format!("<!-- Generated from the catalogue by `{REGENERATE}`. -->\n{HEAD}");
    for (kind, about) in CHAPTERS {
        let of_kind: Vec<&Explanation> = all.iter().filter(|one| one.kind == kind).collect();
        // Writing to a String does not fail.
        let _ = write!(page, "\n## {}\n\n{about}\n\n{}", kind.heading(), table(&of_kind));
    }
    page
}

fn table(rows: &[&Explanation]) -> String {
    let reasons = rows.iter().any(|row| !row.scope.is_empty());
    let mut table = if reasons {
        "| reason | it means | what waits | tried again | what to do |\n| --- | --- | --- | --- | --- |\n".to_owned()
    } else {
        "| code | it means | usual cause | what to do |\n| --- | --- | --- | --- |\n".to_owned()
    };
    for row in rows {
        let name = match (&row.title, row.number) {
            (Some(title), _) => format!("`{}` {title}", row.name),
            (None, Some(number)) => format!("`{}` ({number})", row.name),
            (None, None) => format!("`{}`", row.name),
        };
        let scope: Vec<&str> = row.scope.iter().map(|scope| scope.name()).collect();
        let cells = if reasons {
            vec![name, row.meaning.clone(), scope.join(", "), row.retry.clone().unwrap_or_default(), row.advice.clone()]
        } else {
            vec![name, row.meaning.clone(), row.cause.clone().unwrap_or_default(), row.advice.clone()]
        };
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}
