//! `kubectl mailsluice support`: one archive with all that somebody who is to help asks for, and with no secret in it.
//!
//! [`gather`] asks the cluster, [`resources`] chooses what of it, [`redact`] takes out what may be secret, [`logs`] keeps the
//! records around the hosts' last changes, [`clock`] compares clocks, [`summary`] writes the first page, [`archive`] the file,
//! and [`mail`] sends it.

mod archive;
mod clock;
mod gather;
mod logs;
mod mail;
mod redact;
mod resources;
mod summary;

#[cfg(test)]
mod tests;

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use lettre::message::Mailbox;
use mailsluice_ctl::Shown;

use crate::{
    access::Cluster,
    error::PluginError,
    relay::Found,
    text::{counted, size},
};
use archive::File;

/// Octal: there are addresses in it, so it is for its owner alone.
const MODE: u32 = 0o600;

/// What the archive is to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wanted {
    /// The archive [default: mailsluice-support-RELAY-TIME.tar.gz].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What you see, for its first page.
    #[arg(long, value_name = "TEXT")]
    describe: Option<String>,
    /// Send it there, too.
    #[arg(long, value_name = "ADDRESS", requires = "smtp")]
    mail: Option<Mailbox>,
    /// By which mail server; under TLS where it offers that.
    #[arg(long, value_name = "HOST[:PORT]", requires = "mail")]
    smtp: Option<mail::Server>,
    /// From whom [default: whom it is sent to].
    #[arg(long, value_name = "ADDRESS", requires = "mail")]
    from: Option<Mailbox>,
}

/// Makes the archive, and sends it where that is wanted.
pub(crate) async fn make(cluster: &Cluster, found: &Found, wanted: &Wanted) -> Result<Shown, PluginError> {
    let at = Timestamp::now();
    let (mut facts, files) = gather::all(cluster, found, at).await;
    facts.description.clone_from(&wanted.describe);
    facts.files = files.iter().map(|file| file.path.clone()).collect();
    let summary = summary::page(&facts);
    let files: Vec<File> =
        std::iter::once(File::new("SUMMARY.md", summary.clone())).chain(files).map(without_credentials).collect();

    let folder = format!("mailsluice-support-{}-{}", found.name(), at.strftime("%Y%m%dT%H%M%SZ"));
    let path = wanted.file.clone().unwrap_or_else(|| format!("{folder}.tar.gz").into());
    let mut octets = Vec::new();
    archive::write(&mut octets, &folder, &files, at).map_err(PluginError::io("the archive"))?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, &octets)).map_err(PluginError::io(path.display()))?;

    let files = counted(files.len() as u64, "file");
    let mut text =
        format!("{} has {files}, {}. It begins with SUMMARY.md.\n", path.display(), size(octets.len() as u64));
    if let (Some(to), Some(server)) = (&wanted.mail, &wanted.smtp) {
        let from = wanted.from.as_ref().unwrap_or(to);
        let subject = format!("Mailsluice support: SMTPRelay {} in {}", found.name(), cluster.namespace);
        mail::send(server.clone(), mail::letter(from, to, &subject, &summary, &format!("{folder}.tar.gz"), octets)?)
            .await?;
        text.push_str(&format!("It was sent to {to}.\n"));
    }
    Ok(Shown { text, success: true })
}

/// The last net: whatever a file is made of, what looks like a credential does not get into the archive.
fn without_credentials(File { path, text }: File) -> File {
    let lines = text.split_inclusive('\n').map(redact::line);
    File { path, text: lines.collect() }
}
