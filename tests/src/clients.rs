//! The programs that people really send mail with.
//!
//! Those that are libraries are driven by a small program of ours, which is given a job: a JSON file with `host`, `port` and
//! `letters`, each with `from`, `to`, `eightBit`, `utf8` and the `file` that holds its text. With an `authority` they ask for
//! STARTTLS and trust what that file vouches for alone; with a `user` and its `password` they authenticate themselves. They send
//! all letters on one connection. The others are programs already, and are given their own arguments.

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
    transport::smtp::{
        PoolConfig,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
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
    /// Java's Jakarta Mail, as Angus implements it.
    Angus,
    /// Rust's lettre, in this process.
    Lettre,
}

/// What a client shows to be let in.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
}

/// Where a client sends to, and how.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// Its address.
    pub address: SocketAddr,
    /// The file with the certificate of the authority that must vouch for it: STARTTLS, where there is one.
    pub authority: Option<&'a Path>,
    /// What the client shows to it.
    pub login: Option<Login<'a>>,
}

impl From<SocketAddr> for Server<'_> {
    /// In clear.
    fn from(address: SocketAddr) -> Self {
        Server { address, authority: None, login: None }
    }
}

impl Client {
    /// Those that the tests without a cluster send with.
    pub const FAST: [Client; 4] = [Client::Smtplib, Client::Swaks, Client::Nodemailer, Client::GoSmtp];

    /// All of them.
    pub const ALL: [Client; 8] = [
        Client::Swaks,
        Client::Curl,
        Client::Msmtp,
        Client::Smtplib,
        Client::Nodemailer,
        Client::GoSmtp,
        Client::Angus,
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
            Client::Angus => "Jakarta Mail",
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
            Client::Angus => "java",
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
            Client::Angus => (angus(), "tests/peers/build"),
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
        self.try_letters(server.into(), &[letter(from, to, text)])
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
        let server = Server { login: Some(login), ..server.into() };
        self.try_letters(server, &[letter(from, &[to], text)])
    }

    /// Sends letters: on one connection, where it can send several.
    ///
    /// # Errors
    /// What the program said, when it ends with an error.
    pub fn try_letters(self, server: Server<'_>, letters: &[Letter]) -> Result<String, String> {
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
            fs::write(&file, job(server, letters, &files)).expect("write a job");
            run(command.arg(file))
        };
        match self {
            Client::Smtplib => of_job(Command::new("python3").arg(workspace().join("tests/clients/smtplib_send.py"))),
            Client::Nodemailer => of_job(Command::new("node").arg(needed(built("nodemailer/send.mjs")))),
            Client::GoSmtp => of_job(&mut Command::new(needed(built("go-smtp")))),
            Client::Angus => {
                let folder = needed(angus());
                let path = format!("{0}:{0}/lib/*", folder.display());
                of_job(Command::new("java").args(["-XX:TieredStopAtLevel=1", "-cp", &path, "Send"]))
            }
            Client::Curl => run(&mut curl(server, letters, &files)),
            Client::Lettre => by_lettre(server, letters),
            Client::Swaks => each(letters, |number, letter| {
                // It takes one line with a single dot away from the end.
                fs::write(&files[number], [&letter.text[..], b".\r\n"].concat()).expect("write a letter");
                run(&mut swaks(server, letter, &files[number]))
            }),
            Client::Msmtp => each(letters, |number, letter| run(&mut msmtp(server, letter, &files[number]))),
        }
    }
}

/// A letter in which nothing is declared.
fn letter(from: &str, to: &[&str], text: &[u8]) -> Letter {
    Letter {
        sender: from.to_owned(),
        recipients: to.iter().map(|to| (*to).to_owned()).collect(),
        text: text.to_owned(),
        eight_bit: false,
        utf8: false,
    }
}

/// The job of a program of ours.
fn job(server: Server<'_>, letters: &[Letter], files: &[PathBuf]) -> String {
    let letters: Vec<_> = letters
        .iter()
        .zip(files)
        .map(|(letter, file)| {
            serde_json::json!({
                "from": letter.sender, "to": letter.recipients, "eightBit": letter.eight_bit, "utf8": letter.utf8, "file": file,
            })
        })
        .collect();
    let (user, password) = server.login.map(|login| (login.user, login.password)).unzip();
    serde_json::json!({
        "host": server.address.ip().to_string(), "port": server.address.port(), "letters": letters,
        "authority": server.authority, "user": user, "password": password,
    })
    .to_string()
}

/// All letters by one curl, which uses its connection again.
fn curl(server: Server<'_>, letters: &[Letter], files: &[PathBuf]) -> Command {
    let mut command = Command::new("curl");
    for (number, (letter, file)) in letters.iter().zip(files).enumerate() {
        if number > 0 {
            command.arg("--next");
        }
        command.args(["--silent", "--show-error", "--verbose", "--max-time", "60", "--mail-rcpt-allowfails"]);
        command.args(["--mail-from", &letter.sender]);
        for recipient in &letter.recipients {
            command.args(["--mail-rcpt", recipient]);
        }
        if let Some(authority) = server.authority {
            command.arg("--ssl-reqd").arg("--cacert").arg(authority);
        }
        if let Some(Login { user, password }) = server.login {
            command.args(["--user", &format!("{user}:{password}")]);
        }
        command.arg("--upload-file").arg(file).arg(format!("smtp://{}/client.test", server.address));
    }
    command
}

/// One letter by swaks, its text as this file has it.
fn swaks(server: Server<'_>, letter: &Letter, file: &Path) -> Command {
    let mut command = Command::new("swaks");
    command
        .args(["--server", &server.address.ip().to_string(), "--port", &server.address.port().to_string()])
        .args(["--from", &letter.sender, "--to", &letter.recipients.join(","), "--timeout", "60s"])
        .arg("--data")
        .arg(format!("@{}", file.display()));
    if let Some(authority) = server.authority {
        command.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(authority);
    }
    if let Some(Login { user, password }) = server.login {
        // Others say PLAIN.
        command.args(["--auth", "LOGIN", "--auth-user", user, "--auth-password", password]);
    }
    command
}

/// One letter by msmtp, its text as this file has it.
fn msmtp(server: Server<'_>, letter: &Letter, file: &Path) -> Command {
    let mut command = Command::new("msmtp");
    command
        .args(["--file=/dev/null", "--set-date-header=off", "--set-msgid-header=off"])
        .args(["--host", &server.address.ip().to_string(), "--port", &server.address.port().to_string()])
        .args(["--from", &letter.sender]);
    match server.authority {
        Some(authority) => {
            command.args(["--tls=on", "--tls-starttls=on"]).arg(format!("--tls-trust-file={}", authority.display()))
        }
        None => command.arg("--tls=off"),
    };
    match server.login {
        // In clear it shows no password, so it has to be SCRAM.
        Some(Login { user, password }) => command
            .args(["--auth=scram-sha-256", "--user", user])
            .arg(format!("--passwordeval=printf '%s\\n' '{password}'")),
        None => command.arg("--auth=off"),
    };
    command.arg("--").args(&letter.recipients).stdin(fs::File::open(file).expect("open a letter"));
    command
}

fn by_lettre(server: Server<'_>, letters: &[Letter]) -> Result<String, String> {
    let host = server.address.ip().to_string();
    let mut builder = SmtpTransport::builder_dangerous(&host)
        .port(server.address.port())
        .timeout(Some(Duration::from_secs(60)))
        .pool_config(PoolConfig::new().max_size(1));
    if let Some(authority) = server.authority {
        let text = fs::read(authority).expect("read an authority's certificate");
        let certificate = Certificate::from_pem(&text).map_err(|error| error.to_string())?;
        let parameters = TlsParameters::builder(host)
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate)
            .build_rustls()
            .map_err(|error| error.to_string())?;
        builder = builder.tls(Tls::Required(parameters));
    }
    if let Some(Login { user, password }) = server.login {
        builder = builder.credentials(Credentials::new(user.into(), password.into()));
    }
    let transport = builder.build();
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
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("MAILSLUICE_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from);
    folder.join(name)
}

/// The folder with the Java program, which `tests/peers/build` makes.
fn angus() -> PathBuf {
    workspace().join("target/peers/angus")
}

fn needed(file: PathBuf) -> PathBuf {
    assert!(Path::exists(&file), "{} is missing: run tests/clients/build", file.display());
    file
}
