//! `mailsluice-relay ctl`: the other end of the socket.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axum::http::{Method, Request, StatusCode, header};
use clap::{Args, Subcommand};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use mailsluice_crds::catalogue::NotFound;
use mailsluice_ctl::{Line, Output, Said, Word, output::NotUnderstood};
use serde_json::Value;
use tokio::net::UnixStream;

use super::{
    socket::SOCKET,
    trace::{Trace, TraceError},
};

/// The spool of a relay in a pod.
const POD_SPOOL: &str = "/var/spool/mailsluice";

/// Asks a relay that runs on this machine, or tells it.
#[derive(Debug, Args)]
pub struct Ctl {
    #[command(subcommand)]
    word: CtlWord,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Output,
    /// The folder of the relay's spool [default: /var/spool/mailsluice, which is a pod's].
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "manifest")]
    spool: Option<PathBuf>,
    /// The first file that the relay was run with, where its spool is the folder `spool` beside that.
    #[arg(long, value_name = "FILE", global = true)]
    manifest: Option<PathBuf>,
    /// Who does it, for the log and the Monitor [default: the user].
    #[arg(long, value_name = "NAME", global = true)]
    by: Option<Line>,
}

/// A word, or what a log is asked.
#[derive(Debug, Subcommand)]
enum CtlWord {
    #[command(flatten)]
    Word(Word),
    /// Tell the whole life of a message, from the relay's log; the relay need not run.
    Trace(Trace),
}

/// Why a relay gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// Nobody listens.
    #[error("no relay runs on the spool {} ({source}): --spool or --manifest says which relay is meant", folder.display())]
    NotRunning {
        /// The spool.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket is another user's.
    #[error("{} is for the relay's own user and root: {source}", socket.display())]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed.
    #[error("talk to the relay: {0}")]
    Talk(#[from] hyper::Error),
    /// The question cannot be put.
    #[error("ask the relay: {0}")]
    Ask(#[from] axum::http::Error),
    /// The relay refused.
    #[error("the relay answered {status}: {text}")]
    Refused {
        /// Its status of HTTP.
        status: StatusCode,
        /// Why.
        text: String,
    },
    /// The answer is no JSON.
    #[error("the relay's answer is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The answer is not what this version expects.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// The catalogue has no such name.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The log cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(io::Error),
}

impl Ctl {
    /// Asks, and writes the answer. False when what was asked for was not found, or not done.
    ///
    /// # Errors
    /// See [`CtlError`]. A reader of `out` that has gone away is no error.
    pub async fn run(&self, out: &mut (dyn io::Write + Send)) -> Result<bool, CtlError> {
        let output = self.output;
        let shown = match &self.word {
            CtlWord::Trace(trace) => trace.show(output)?,
            CtlWord::Word(Word::Explain(explain)) => explain.show(output)?,
            CtlWord::Word(Word::Relay(word)) => {
                let (path, question) = word.question(&self.by.clone().unwrap_or_else(user));
                let answer = ask(&self.folder(), path, &question).await?;
                word.show(vec![Said { pod: None, answer }], output)?
            }
        };
        match out.write_all(shown.text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CtlError::Output(error)),
            _ => Ok(shown.success),
        }
    }

    fn folder(&self) -> PathBuf {
        let beside = |file: &PathBuf| file.parent().map(|folder| folder.join("spool"));
        let given = self.spool.clone().or_else(|| self.manifest.as_ref().and_then(beside));
        given.unwrap_or_else(|| POD_SPOOL.into())
    }
}

/// Puts one question to the relay that has this spool.
async fn ask(folder: &Path, path: &str, question: &Value) -> Result<Value, CtlError> {
    let socket = folder.join(SOCKET);
    let stream = UnixStream::connect(&socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => CtlError::NotAllowed { socket, source },
        _ => CtlError::NotRunning { folder: folder.to_owned(), source },
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer; what goes wrong with it is told by the request.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(question.to_string()))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    if head.status != StatusCode::OK {
        return Err(CtlError::Refused { status: head.status, text: String::from_utf8_lossy(&body).into_owned() });
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Who runs this program: by sudo, whoever ran that.
fn user() -> Line {
    let uid = rustix::process::getuid().as_raw();
    let by_sudo = std::env::var("SUDO_USER").ok().filter(|_| uid == 0);
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Line::fitted(&by_sudo.or_else(|| name_of(uid, &users)).unwrap_or_else(|| format!("uid {uid}")))
}

/// The name of a user's number in the lines of /etc/passwd.
fn name_of(uid: u32, users: &str) -> Option<String> {
    let mut of = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    of.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_their_numbers() {
        let users = "root:x:0:0:root:/root:/bin/bash\n# none\nnobody:x:65534:65534::/:/bin/false\n";
        for (uid, name) in [(0, Some("root")), (65_534, Some("nobody")), (1_000, None)] {
            assert_eq!(name_of(uid, users).as_deref(), name, "{uid}");
        }
    }
}
