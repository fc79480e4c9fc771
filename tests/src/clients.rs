//! The programs that people really send mail with.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::workspace;

/// A program that sends mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Python's smtplib.
    Smtplib,
    /// swaks, the Swiss Army Knife for SMTP.
    Swaks,
    /// Node's nodemailer.
    Nodemailer,
    /// Go's net/smtp.
    GoSmtp,
}

impl Client {
    /// All of them.
    pub const ALL: [Client; 4] = [Client::Smtplib, Client::Swaks, Client::Nodemailer, Client::GoSmtp];

    /// Sends a message; what the program said, or a panic with it.
    pub fn send(self, server: SocketAddr, from: &str, to: &[&str], text: &[u8]) {
        let output = self.try_send(server, from, to, text);
        assert!(
            output.status.success(),
            "{self:?} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }

    /// Sends a message, or fails to.
    #[must_use]
    pub fn try_send(self, server: SocketAddr, from: &str, to: &[&str], mut text: &[u8]) -> Output {
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        let ours = workspace().join("tests/clients");
        let mut command = match self {
            Client::Smtplib => {
                let mut command = Command::new("python3");
                command.arg(ours.join("smtplib_send.py")).args([&host, &port, from]).args(to);
                command
            }
            Client::Swaks => {
                let mut command = Command::new("swaks");
                command.args(["--server", &host, "--port", &port, "--from", from, "--to", &to.join(",")]);
                command.args(["--data", "-"]);
                // It ends the last line itself.
                text = text.strip_suffix(b"\r\n").unwrap_or(text);
                command
            }
            Client::Nodemailer => {
                let mut command = Command::new("node");
                command.arg(built("nodemailer/send.mjs")).args([&host, &port, from]).args(to);
                command
            }
            Client::GoSmtp => {
                let mut command = Command::new(built("go-smtp"));
                command.args([&server.to_string(), from]).args(to);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let mut input = child.stdin.take().expect("its standard input");
        input.write_all(text).expect("give it the message");
        drop(input);
        child.wait_with_output().expect("wait for it")
    }
}

/// A file that `tests/clients/build` makes.
fn built(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("MAILSLUICE_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from);
    let file = folder.join(name);
    assert!(file.exists(), "{} is missing: run tests/clients/build", file.display());
    file
}
