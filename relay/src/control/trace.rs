//! `mailsluice-relay ctl trace`: the whole life of a message, told from the log that a relay has written. No relay is asked.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use mailsluice_ctl::{
    MessageId, Output, Shown,
    trace::{Life, Outcome, life, records},
};

/// The name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Which message, and where the log is.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  mailsluice-relay ctl trace 00064A7B0C1D2E3F --log /var/log/mailsluice.log\n      \
                        how a message came, what was tried, and what became of it\n  \
                        journalctl -u mailsluice -o cat | mailsluice-relay ctl trace 00064A7B0C1D2E3F --log -\n      \
                        the same from the journal\n  \
                        mailsluice-relay ctl trace 00064A7B0C1D2E3F --log relay.log.1 --log relay.log\n      \
                        from a log that was rotated meanwhile"
)]
pub(super) struct Trace {
    /// The message's id, as `queue` and the log have it.
    #[arg(value_name = "MESSAGE-ID")]
    message: MessageId,
    /// A file with what the relay wrote to standard output, in JSON; `-` is standard input. May be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    log: Vec<PathBuf>,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .file.display())]
pub struct TraceError {
    file: PathBuf,
    source: io::Error,
}

impl Trace {
    /// Reads the logs, and tells what they say of the message.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn show(&self, output: Output) -> Result<Shown, TraceError> {
        let inputs: Vec<_> = self.log.iter().map(|file| Ok((file, open(file)?))).collect::<Result<_, TraceError>>()?;
        let life = told(self.message, inputs)?;
        // A life is plain data, which always has a JSON form.
        let value = serde_json::to_value(&life).unwrap_or_default();
        let text = output.structured(&value).unwrap_or_else(|| life.to_string());
        Ok(Shown { text, success: life.outcome != Outcome::NotFound })
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, TraceError> {
    if file.as_os_str() == STANDARD_INPUT {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(source) => Err(TraceError { file: file.to_owned(), source }),
    }
}

/// The life of a message in logs, which are read line by line: they may be larger than the memory.
fn told(message: MessageId, logs: Vec<(&PathBuf, Box<dyn BufRead>)>) -> Result<Life, TraceError> {
    let mut broken = None;
    let lines = logs.into_iter().flat_map(|(file, log)| log.split(b'\n').map(move |line| (file, line)));
    let lines = lines.map_while(|(file, line)| match line {
        Ok(line) => Some(line),
        Err(source) => {
            broken = Some(TraceError { file: file.clone(), source });
            None
        }
    });
    let told = life(message, lines.filter_map(|line| records([&*String::from_utf8_lossy(&line)]).next()));
    broken.map_or(Ok(told), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000645F3A1B2C300";

    fn record(time: &str, tag: &str, rest: &str) -> String {
        format!(
            r#"{{"time":"2026-11-24T{time}Z","level":"Major","tag":"{tag}","relay":"r","message":"{ID}","host":"a.test",{rest}}}"#
        ) + "\n"
    }

    fn trace(logs: &[&str]) -> Trace {
        Trace { message: ID.parse().unwrap(), log: logs.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn a_life_is_told_from_all_files_whatever_else_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("log.1"), folder.path().join("log"));
        let accepted = record("07:00:00", "SMTPI", r#""recipients":1,"hosts":"a.test","msg":"accepted""#);
        let delivered = record("07:00:01", "SMTP", r#""recipients":1,"reply":"250 ok","msg":"delivered""#);
        std::fs::write(&first, [b"\xff\xfe not text\n".as_slice(), accepted.as_bytes()].concat()).unwrap();
        std::fs::write(&second, delivered.trim_end()).unwrap();
        let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
        for (logs, says, success) in [
            (&[first, second][..], "was delivered 1.000 s after it came", true),
            (&[second, first], "was delivered 1.000 s after it came", true),
            (&[first], "waits for 1 recipient of 1 as far as the log goes", true),
            (&["/dev/null"], "The log has nothing of message", false),
        ] {
            let shown = trace(logs).show(Output::Table).unwrap();
            assert!(shown.text.contains(says), "{logs:?}: {}", shown.text);
            assert_eq!(shown.success, success, "{logs:?}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&trace(&[first, second]).show(Output::Json).unwrap().text).unwrap();
        assert_eq!(json["outcome"], "Delivered");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        for (log, says) in [("/no/such/log", "/no/such/log: No such file"), (folder, "Is a directory")] {
            let error = trace(&["/dev/null", log]).show(Output::Table).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
