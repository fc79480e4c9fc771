//! `mailsluice-relay spool`: reads a spool that no relay has open, and changes nothing in it.
//!
//! - [`check`]: reads everything, and says what is damaged;
//! - [`list`]: what waits, as a table or as JSON; [`show`]: one message;
//! - [`export`]: messages as `.eml` files, each with its envelope in JSON beside it;
//! - [`view`]: a message as JSON has it; [`progress`]: how far long work is, on a terminal.

mod check;
mod export;
mod list;
mod progress;
mod show;
mod view;

use std::{io, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};

use crate::{
    output::Output,
    spool::{Disk, Inspection, MessageId, Recovered, RecoveryReport, SpoolError},
};

/// What is to be done with a spool.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// Read all of it and say what is damaged; ends with an error when something is.
    #[command(after_help = "Examples:\n  mailsluice-relay spool check /var/spool/mailsluice")]
    Check(Folder),
    /// List the messages that wait, the oldest first.
    #[command(after_help = "Examples:\n  mailsluice-relay spool list /var/spool/mailsluice\n  \
                            mailsluice-relay spool list /var/spool/mailsluice -o json | jq '.[].sender'")]
    List(List),
    /// Show one message: its envelope, what its recipients wait for, and its header.
    #[command(after_help = "Examples:\n  mailsluice-relay spool show /var/spool/mailsluice 00064A7B0C1D2E3F\n  \
                            mailsluice-relay spool show /var/spool/mailsluice 00064A7B0C1D2E3F -o json")]
    Show(Show),
    /// Write messages to files: ID.eml, octet for octet, and its envelope in ID.json. The messages stay in the spool.
    #[command(after_help = "Examples:\n  mailsluice-relay spool export /var/spool/mailsluice /tmp/mail\n  \
                            mailsluice-relay spool export /var/spool/mailsluice /tmp/mail 00064A7B0C1D2E3F")]
    Export(Export),
}

/// The spool.
#[derive(Debug, Args)]
pub struct Folder {
    /// The spool's folder. No relay may have it open: stop it first.
    #[arg(value_name = "SPOOL")]
    folder: PathBuf,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    spool: Folder,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What `show` takes.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    spool: Folder,
    /// The message's id: 16 hexadecimal digits, as the log and `list` have it.
    #[arg(value_name = "ID")]
    id: MessageId,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What `export` takes.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    spool: Folder,
    /// The folder that the files go to; it is made where it is missing, and no file in it is written over.
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// The messages' ids; all messages where none is given.
    #[arg(value_name = "ID")]
    ids: Vec<MessageId>,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A relay has it open.
    #[error("a relay has the spool {folder} open{}: stop it first; `mailsluice-relay ctl queue` shows what waits while it runs", .holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The spool.
        folder: String,
        /// The relay's process, where it has left its id.
        holder: Option<u32>,
    },
    /// No such message waits.
    #[error(
        "no message {0} waits in the spool: it was delivered, returned or removed, or never was; `list` shows those that wait"
    )]
    NoMessage(MessageId),
    /// Something is damaged.
    #[error("damaged parts of the spool: {0}")]
    Damaged(usize),
    /// A file or the output cannot be written.
    #[error("{what}: {source}")]
    Io {
        /// What was written or read.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ToolError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> ToolError {
        let what = what.into();
        move |source| ToolError::Io { what, source }
    }
}

/// Does it, and writes what there is to say to `out`.
///
/// # Errors
/// See [`ToolError`]. A reader of `out` that has gone away is no error.
pub async fn run(command: SpoolCommand, out: &mut (dyn io::Write + Send)) -> Result<(), ToolError> {
    let result = match command {
        SpoolCommand::Check(Folder { folder }) => check::run(&Contents::read(folder)?, out).await,
        SpoolCommand::List(List { spool, output }) => list::run(&Contents::read(spool.folder)?, output, out),
        SpoolCommand::Show(Show { spool, id, output }) => {
            show::run(&Contents::read(spool.folder)?, id, output, out).await
        }
        SpoolCommand::Export(Export { spool, to, ids }) => {
            export::run(&Contents::read(spool.folder)?, &to, &ids, out).await
        }
    };
    match result {
        Err(ToolError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// What is in a spool.
struct Contents {
    spool: Inspection,
    /// The oldest first.
    messages: Vec<Recovered>,
    report: RecoveryReport,
}

impl Contents {
    fn read(folder: PathBuf) -> Result<Contents, ToolError> {
        let disk = Disk::existing(folder)?;
        let (spool, recovery) = Inspection::open(Arc::new(disk)).map_err(|error| match error {
            SpoolError::Locked { directory, holder } => ToolError::InUse { folder: directory.to_string(), holder },
            other => other.into(),
        })?;
        let mut progress = progress::Progress::new("messages found");
        let mut messages = Vec::new();
        let report = recovery.run(&mut |message| {
            messages.push(message);
            progress.at(messages.len(), None);
        })?;
        messages.sort_by_key(|message| message.envelope.id);
        Ok(Contents { spool, messages, report })
    }

    fn find(&self, id: MessageId) -> Result<&Recovered, ToolError> {
        let place = self.messages.binary_search_by_key(&id, |message| message.envelope.id);
        place.ok().and_then(|at| self.messages.get(at)).ok_or(ToolError::NoMessage(id))
    }
}
