//! The programs that people really send mail with.
//!
//! Those that are libraries are driven by a small program of ours, which is given a job: a JSON file with `host`, `port` and
//! `letters`, each with `from`, `to`, `eightBit`, `utf8` and the `file` that holds its text; and `user` and `password`, which may be empty. They send all letters on one
//! connection. The others are programs already, and are given their own arguments.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lettre::{
    SmtpTransport, Transport as _,
    address::{Address, Envelope},
    transport::smtp::{PoolConfig, authentication::Credentials},
};
use tempfile::TempDir;

use crate::{letter::Letter, process, workspace};

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
    /// curl.
    Curl,
    /// msmtp, which takes the place of sendmail.
    Msmtp,
    /// Rust's lettre, in this process.
    Lettre,
}

/// What a client shows to be let in: a name and a password, both empty where it shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// The name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
}

impl Login<'_> {
    /// The same arguments, or none where nothing is shown.
    fn arguments<'a>(self, arguments: &'a [&'a str]) -> &'a [&'a str] {
        if self.user.is_empty() { &[] } else { arguments }
    }

    /// Without TLS it shows no password, so it has to be SCRAM.
    fn msmtp(self) -> Vec<String> {
        if self.user.is_empty() {
            return vec!["--auth=off".into()];
        }
        let password = format!("--passwordeval=echo {}", self.password);
        vec!["--auth=scram-sha-256".into(), format!("--user={}", self.user), password]
    }
}

impl Client {
    /// Those that the tests without a cluster send with.
    pub const FAST: [Client; 4] = [Client::Smtplib, Client::Swaks, Client::Nodemailer, Client::GoSmtp];

    /// All of them.
    pub const ALL: [Client; 7] = [
        Client::Swaks,
        Client::Curl,
        Client::Msmtp,
        Client::Smtplib,
        Client::Nodemailer,
        Client::GoSmtp,
        Client::Lettre,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Client::Smtplib => "smtplib",
            Client::Swaks => "swaks",
            Client::Nodemailer => "nodemailer",
            Client::GoSmtp => "go net/smtp",
            Client::Curl => "curl",
            Client::Msmtp => "msmtp",
            Client::Lettre => "lettre",
        }
    }

    /// Why it cannot be used on this machine, if it cannot.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        let program = match self {
            Client::Smtplib => "python3",
            Client::Swaks => "swaks",
            Client::Nodemailer => "node",
            Client::Curl => "curl",
            Client::Msmtp => "msmtp",
            Client::GoSmtp | Client::Lettre => return self.missing_parts(),
        };
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
        if found { self.missing_parts() } else { Some(format!("there is no {program}: run tests/install peers")) }
    }

    fn missing_parts(self) -> Option<String> {
        let (file, maker) = match self {
            Client::Nodemailer => (built("nodemailer/send.mjs"), "tests/clients/build"),
            Client::GoSmtp => (built("go-smtp"), "tests/clients/build"),
            _ => return None,
        };
        (!file.exists()).then(|| format!("{} is missing: run {maker}", file.display()))
    }

    /// Sends a message; a panic with what the program said where it fails.
    pub fn send(self, server: SocketAddr, from: &str, to: &[&str], text: &[u8]) {
        if let Err(said) = self.try_send(server, from, to, text) {
            panic!("{self:?} failed: {said}");
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What the program said, when it ends with an error.
    pub fn try_send(self, server: SocketAddr, from: &str, to: &[&str], text: &[u8]) -> Result<String, String> {
        self.try_letters(
            server,
            &[Letter {
                sender: from.to_owned(),
                recipients: to.iter().map(|to| (*to).to_owned()).collect(),
                text: text.to_owned(),
                eight_bit: false,
                utf8: false,
            }],
        )
    }

    /// Sends a message after it has shown a name and a password.
    ///
    /// # Errors
    /// What the program said, when it ends with an error.
    pub fn try_send_as(
        self,
        login: Login<'_>,
        server: SocketAddr,
        from: &str,
        to: &str,
        text: &[u8],
    ) -> Result<String, String> {
        let letter = Letter {
            sender: from.to_owned(),
            recipients: vec![to.to_owned()],
            text: text.to_owned(),
            eight_bit: false,
            utf8: false,
        };
        self.letters_as(login, server, &[letter])
    }

    /// Sends letters: on one connection, where it can send several.
    ///
    /// # Errors
    /// What the program said, when it ends with an error.
    pub fn try_letters(self, server: SocketAddr, letters: &[Letter]) -> Result<String, String> {
        self.letters_as(Login::default(), server, letters)
    }

    fn letters_as(self, login: Login<'_>, server: SocketAddr, letters: &[Letter]) -> Result<String, String> {
        let folder = TempDir::new().expect("a temporary folder");
        let files: Vec<PathBuf> = letters
            .iter()
            .enumerate()
            .map(|(number, letter)| {
                let file = folder.path().join(format!("{number}.eml"));
                fs::write(&file, &letter.text).expect("write a letter");
                file
            })
            .collect();
        let of_job = |command: &mut Command| {
            let file = folder.path().join("job.json");
            fs::write(&file, job(login, server, letters, &files)).expect("write a job");
            run(command.arg(file))
        };
        match self {
            Client::Smtplib => of_job(Command::new("python3").arg(workspace().join("tests/clients/smtplib_send.py"))),
            Client::Nodemailer => of_job(Command::new("node").arg(needed(built("nodemailer/send.mjs")))),
            Client::GoSmtp => of_job(&mut Command::new(needed(built("go-smtp")))),
            Client::Curl => run(&mut curl(login, server, letters, &files)),
            Client::Lettre => by_lettre(login, server, letters),
            Client::Swaks => each(letters, |number, letter| {
                // It takes one line with a single dot away from the end.
                fs::write(&files[number], [&letter.text[..], b".\r\n"].concat()).expect("write a letter");
                run(Command::new("swaks")
                    .args(["--server", &server.ip().to_string(), "--port", &server.port().to_string()])
                    .args(["--from", &letter.sender, "--to", &letter.recipients.join(","), "--timeout", "60s"])
                    .args(login.arguments(&["--auth", "--auth-user", login.user, "--auth-password", login.password]))
                    .arg("--data")
                    .arg(format!("@{}", files[number].display())))
            }),
            Client::Msmtp => each(letters, |number, letter| {
                let input = fs::File::open(&files[number]).expect("open a letter");
                run(Command::new("msmtp")
                    .args(["--file=/dev/null", "--tls=off", "--set-date-header=off"])
                    .args(login.msmtp())
                    .args(["--set-msgid-header=off", "--host", &server.ip().to_string()])
                    .args(["--port", &server.port().to_string(), "--from", &letter.sender, "--"])
                    .args(&letter.recipients)
                    .stdin(input))
            }),
        }
    }
}

/// The job of a program of ours.
fn job(login: Login<'_>, server: SocketAddr, letters: &[Letter], files: &[PathBuf]) -> String {
    let letters: Vec<_> = letters
        .iter()
        .zip(files)
        .map(|(letter, file)| {
            serde_json::json!({
                "from": letter.sender, "to": letter.recipients, "eightBit": letter.eight_bit, "utf8": letter.utf8, "file": file,
            })
        })
        .collect();
    serde_json::json!({ "host": server.ip().to_string(), "port": server.port(), "letters": letters, "user": login.user, "password": login.password }).to_string()
}

/// All letters by one curl, which uses its connection again.
fn curl(login: Login<'_>, server: SocketAddr, letters: &[Letter], files: &[PathBuf]) -> Command {
    let mut command = Command::new("curl");
    for (number, (letter, file)) in letters.iter().zip(files).enumerate() {
        if number > 0 {
            command.arg("--next");
        }
        command.args(["--silent", "--show-error", "--verbose", "--max-time", "60", "--mail-rcpt-allowfails"]);
        let credentials = format!("{}:{}", login.user, login.password);
        command.args(login.arguments(&["--user", &credentials])).args(["--mail-from", &letter.sender]);
        for recipient in &letter.recipients {
            command.args(["--mail-rcpt", recipient]);
        }
        command.arg("--upload-file").arg(file).arg(format!("smtp://{server}/client.test"));
    }
    command
}

fn by_lettre(login: Login<'_>, server: SocketAddr, letters: &[Letter]) -> Result<String, String> {
    let mut transport = SmtpTransport::builder_dangerous(server.ip().to_string())
        .port(server.port())
        .timeout(Some(Duration::from_secs(60)))
        .pool_config(PoolConfig::new().max_size(1));
    if !login.user.is_empty() {
        transport = transport.credentials(Credentials::new(login.user.to_owned(), login.password.to_owned()));
    }
    let transport = transport.build();
    let address = |text: &str| text.parse::<Address>().map_err(|error| format!("{text}: {error}"));
    let mut said = String::new();
    for letter in letters {
        let recipients = letter.recipients.iter().map(|to| address(to)).collect::<Result<_, _>>()?;
        let envelope = Envelope::new(Some(address(&letter.sender)?), recipients).map_err(|error| error.to_string())?;
        // It ends the last line itself.
        let text = letter.text.strip_suffix(b"\r\n").unwrap_or(&letter.text);
        let response = transport.send_raw(&envelope, text).map_err(|error| error.to_string())?;
        said.extend(response.message());
    }
    Ok(said)
}

/// A run for each letter; the first that fails ends it.
fn each(letters: &[Letter], send: impl Fn(usize, &Letter) -> Result<String, String>) -> Result<String, String> {
    letters.iter().enumerate().map(|(number, letter)| send(number, letter)).collect()
}

/// What the program said.
fn run(command: &mut Command) -> Result<String, String> {
    let output = process::output(command);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("it ended with {}: {said}", output.status)) }
}

/// A file that `tests/clients/build` makes.
fn built(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("MAILSLUICE_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from);
    folder.join(name)
}

fn needed(file: PathBuf) -> PathBuf {
    assert!(Path::exists(&file), "{} is missing: run tests/clients/build", file.display());
    file
}
