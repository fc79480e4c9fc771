//! `mailsluice-relay explain`: what a reason or a code means, and what to do about it, without a relay that runs.

use std::io::{self, Write};

use clap::Args;
use mailsluice_crds::catalogue::NotFound;
use mailsluice_ctl::{Output, words::explain};

/// Explains reasons and codes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mailsluice-relay explain ECONNREFUSED\n  \
                        mailsluice-relay explain 451 4.7.1\n  \
                        mailsluice-relay explain 'CERT_EXPIRED at StartTls with 192.0.2.1:25, 3 attempts since …'\n  \
                        mailsluice-relay explain -o json | jq -r '.[].name'")]
// The words that it shares with others have a group of that name.
#[group(skip)]
pub struct Explain {
    #[command(flatten)]
    asked: explain::Explain,
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
        match out.write_all(self.asked.show(self.output)?.text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
