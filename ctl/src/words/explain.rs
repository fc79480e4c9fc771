//! `explain`: what a reason or a code means, and what to do about it. The texts are the catalogue's; no relay is asked.

use clap::Args;
use mailsluice_crds::catalogue::{Explanation, NotFound, explain_all, topics};
use serde_json::Value;

use super::Examples;
use crate::{Output, Shown};

pub(super) const EXAMPLES: Examples = &[
    ("ECONNREFUSED", "a code"),
    ("451 4.7.1", "a host's reply"),
    (
        "'CERT_EXPIRED at StartTls with 192.0.2.1:25, 3 attempts since …'",
        "whatever a line of the Monitor or the log names",
    ),
    ("-o json", "the whole catalogue, for a program"),
];

/// What is to be explained.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// A reason, a code, an SMTP reply, or in quotes a whole line of the Monitor or the log; all are listed where none is given.
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
}

impl Explain {
    /// What the catalogue says, to be written so.
    ///
    /// # Errors
    /// [`NotFound`] for the first code that it does not have.
    pub fn show(&self, output: Output) -> Result<Shown, NotFound> {
        let explained: Vec<Explanation> = if self.codes.is_empty() {
            explain_all()
        } else {
            topics(&self.codes)?.iter().map(|topic| topic.explain()).collect()
        };
        // Explanations are plain data, which always has a JSON form.
        let value = || serde_json::to_value(&explained).unwrap_or(Value::Null);
        let text = match output {
            Output::Table if self.codes.is_empty() => list(&explained),
            Output::Table => explained.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            Output::Json | Output::Yaml => output.structured(&value()).unwrap_or_default(),
        };
        Ok(Shown { text, success: true })
    }
}

/// A line for each, under a heading for each kind.
fn list(explained: &[Explanation]) -> String {
    let width = explained.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut kind = None;
    for one in explained {
        if kind != Some(one.kind) {
            let gap = if kind.is_none() { "" } else { "\n" };
            text.push_str(&format!("{gap}{}\n", one.kind.heading()));
            kind = Some(one.kind);
        }
        text.push_str(&format!("  {:width$}  {}\n", one.name, one.meaning));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(codes: &[&str], output: Output) -> Result<String, NotFound> {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        Explain { codes }.show(output).map(|shown| shown.text)
    }

    #[test]
    fn a_code_is_explained_for_people_and_for_programs() {
        assert_eq!(
            show(&["ECONNREFUSED"], Output::Table).unwrap(),
            "ECONNREFUSED (111), error of the system\n  \
             Means:  The host refused the connection: nothing listens on that port.\n  \
             Cause:  The mail server is stopped, listens elsewhere, or a firewall rejects.\n  \
             To do:  Look at address and port in the text; start the server, or correct the route's port.\n"
        );
        let json: Value = serde_json::from_str(&show(&["451", "4.7.1"], Output::Json).unwrap()).unwrap();
        assert_eq!((&json[0]["name"], &json[0]["kind"]), (&"451 4.7.1".into(), &"Reply".into()));
        assert!(json[0]["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{json}");
        assert!(show(&["EPIPE"], Output::Yaml).unwrap().starts_with("- "));
    }

    #[test]
    fn a_reason_has_its_scope_and_its_retry_rule() {
        let text = show(&["TcpScheduleClosed", "NXDOMAIN"], Output::Table).unwrap();
        for says in
            ["\n  Scope:  everything\n", "\n  Retry:  When the schedule opens next", "\n\nNXDOMAIN, DNS and routes\n"]
        {
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn all_are_listed_and_an_unknown_one_is_an_error() {
        let text = show(&[], Output::Table).unwrap();
        let all: Vec<_> = explain_all();
        assert!(all.iter().all(|one| text.contains(&format!("  {} ", one.name))), "{text}");
        let error = show(&["NXDOMIAN"], Output::Table).unwrap_err().to_string();
        assert!(error.contains("did you mean NXDOMAIN?"), "{error}");
    }
}
