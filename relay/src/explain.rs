//! `mailsluice-relay explain`: what a reason or a code means, and what to do about it. The texts are the catalogue's.

use std::io::{self, Write};

use clap::Args;
use mailsluice_crds::catalogue::{Explanation, NotFound, explain_all, topics};

use crate::output::Output;

/// Explains reasons and codes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mailsluice-relay explain ECONNREFUSED\n  \
                        mailsluice-relay explain 451 4.7.1\n  \
                        mailsluice-relay explain 'CERT_EXPIRED at StartTls with 192.0.2.1:25, 3 attempts since …'\n  \
                        mailsluice-relay explain -o json | jq -r '.[].name'")]
pub struct Explain {
    /// A reason, a code, an SMTP reply, or in quotes a whole line of the Monitor or the log; all are listed where none is given.
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The catalogue has no such name.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

impl Explain {
    /// Writes what was asked for.
    ///
    /// # Errors
    /// See [`ExplainError`]. A reader of `out` that has gone away is no error.
    pub fn run(&self, out: &mut impl Write) -> Result<(), ExplainError> {
        let explained: Vec<Explanation> = if self.codes.is_empty() {
            explain_all()
        } else {
            topics(&self.codes)?.iter().map(|topic| topic.explain()).collect()
        };
        let written = match self.output {
            Output::Json => json(&explained, out),
            Output::Text if self.codes.is_empty() => list(&explained, out),
            Output::Text => {
                let texts: Vec<String> = explained.iter().map(ToString::to_string).collect();
                write!(out, "{}", texts.join("\n"))
            }
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn json(explained: &[Explanation], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(explained)?)
}

/// A line for each, under a heading for each kind.
fn list(explained: &[Explanation], out: &mut impl Write) -> io::Result<()> {
    let width = explained.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let mut kind = None;
    for one in explained {
        if kind != Some(one.kind) {
            let gap = if kind.is_none() { "" } else { "\n" };
            writeln!(out, "{gap}{}", one.kind.heading())?;
            kind = Some(one.kind);
        }
        writeln!(out, "  {:width$}  {}", one.name, one.meaning)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(codes: &[&str], output: Output) -> Result<String, ExplainError> {
        let mut out = Vec::new();
        Explain { codes: codes.iter().map(|code| (*code).to_owned()).collect(), output }.run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_code_is_explained_for_people_and_for_programs() {
        assert_eq!(
            run(&["ECONNREFUSED"], Output::Text).unwrap(),
            "ECONNREFUSED (111), error of the system\n  \
             Means:  The host refused the connection: nothing listens on that port.\n  \
             Cause:  The mail server is stopped, listens elsewhere, or a firewall rejects.\n  \
             To do:  Look at address and port in the text; start the server, or correct the route's port.\n"
        );
        let json: serde_json::Value = serde_json::from_str(&run(&["451", "4.7.1"], Output::Json).unwrap()).unwrap();
        assert_eq!((&json[0]["name"], &json[0]["kind"]), (&"451 4.7.1".into(), &"Reply".into()));
        assert!(json[0]["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{json}");
    }

    #[test]
    fn a_reason_has_its_scope_and_its_retry_rule() {
        let text = run(&["TcpScheduleClosed", "NXDOMAIN"], Output::Text).unwrap();
        for says in
            ["\n  Scope:  everything\n", "\n  Retry:  When the schedule opens next", "\n\nNXDOMAIN, DNS and routes\n"]
        {
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn all_are_listed_and_an_unknown_one_is_an_error() {
        let text = run(&[], Output::Text).unwrap();
        let all: Vec<_> = explain_all();
        assert!(all.iter().all(|one| text.contains(&format!("  {} ", one.name))), "{text}");
        let error = run(&["NXDOMIAN"], Output::Text).unwrap_err().to_string();
        assert!(error.contains("did you mean NXDOMAIN?"), "{error}");
    }
}
