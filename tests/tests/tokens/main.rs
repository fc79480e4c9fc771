//! The programs of docs/tokens.md, which show the token of their service account themselves, against the real relay.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use mailsluice_crds::relay::{Client as Entry, ListenerTls, ServiceAccount, TlsMode};
use mailsluice_tests::{
    certificate::Certificate,
    clients::{Client, built},
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    token::Issuer,
    workspace,
};
use tempfile::TempDir;

const TLS: &str = "outbound-tls";

/// A program of the page.
struct Program {
    file: &'static str,
    language: &'static str,
    /// What it says of a token that is refused.
    refused: &'static str,
}

const PYTHON: Program = Program { file: "send.py", language: "python", refused: "535" };
const NODE: Program = Program { file: "send.mjs", language: "js", refused: "535" };
const GO: Program = Program { file: "send.go", language: "go", refused: "535" };
const JAVA: Program = Program { file: "Send.java", language: "java", refused: "AuthenticationFailedException" };
const RUST: Program = Program { file: "send.rs", language: "rust", refused: "does not expect a challenge" };

impl Program {
    fn path(&self) -> PathBuf {
        workspace().join("docs/tokens").join(self.file)
    }

    /// What runs it, as it stands on the page; `folder` for what it has to be made into first.
    fn command(&self, folder: &Path) -> Command {
        let interpreted = |interpreter: &str| {
            let mut command = Command::new(interpreter);
            command.arg(self.path());
            command
        };
        match self.language {
            "js" => {
                // Modules are looked for from the folder of the program on.
                let program = folder.join(self.file);
                fs::copy(self.path(), &program).expect("copy a program");
                std::os::unix::fs::symlink(built("nodemailer/node_modules"), folder.join("node_modules"))
                    .expect("the modules");
                let mut command = Command::new("node");
                command.arg(program);
                command
            }
            "go" => {
                let program = folder.join("send");
                let _ = process::run(Command::new("go").args(["build", "-o"]).arg(&program).arg(self.path()));
                Command::new(program)
            }
            "java" => {
                let missing = Client::Angus.missing();
                assert!(missing.is_none(), "{missing:?}");
                let mut command = Command::new("java");
                command.arg("-cp").arg(workspace().join("target/peers/angus/lib/*")).arg(self.path());
                command
            }
            "rust" => Command::new(env!("CARGO_BIN_EXE_token-by-lettre")),
            _ => interpreted("python3"),
        }
    }
}

/// A relay for one service account, and what its pod has in files.
struct Scene {
    sink: Sink,
    relay: Relay,
    cluster: Issuer,
    authority: String,
}

impl Scene {
    fn set() -> Scene {
        let (sink, cluster) = (Sink::start(), Issuer::new("one"));
        let mut manifest = Manifest::to(sink.address);
        manifest.relay.clients = vec![Entry {
            service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
            senders: vec!["orders@shop.example.org".into()],
            ..Entry::default()
        }];
        manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode: TlsMode::StartTls });
        let folder = TempDir::new().expect("a temporary folder");
        let (certificate, authority) = Certificate::signed("localhost", 2020..2040);
        let _ = certificate.put(folder.path(), TLS);
        fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
        let file = folder.path().join("relay.yaml");
        let relay = Relay::start_on(folder, &file, &manifest, &[]);
        Scene { sink, relay, cluster, authority }
    }

    /// Runs a program in a pod with this token and this authority.
    fn run(&self, program: &Program, token: &str, authority: &str) -> Output {
        let folder = TempDir::new().expect("a temporary folder");
        let put = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("write a file of the pod");
            file
        };
        process::output(
            program
                .command(folder.path())
                .env("MAIL_HOST", "localhost")
                .env("MAIL_PORT", self.relay.smtp.port().to_string())
                .env("MAIL_TOKEN", put("token", token))
                .env("MAIL_CA", put("ca.crt", authority)),
        )
    }
}

fn sends(program: &Program) {
    let scene = Scene::set();
    let good = scene.cluster.token("shop", "checkout", "mailsluice", 3600);
    let (_, stranger) = Certificate::signed("localhost", 2020..2040);
    let said = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();

    let output = scene.run(program, &good, &stranger);
    assert!(!output.status.success(), "it trusts a relay that its authority does not vouch for: {}", said(&output));
    let _ = scene.relay.await_log("> STARTTLS");
    let log = scene.relay.await_log("the session is over");
    assert!(!log.contains("> AUTH"), "no token is shown to it:\n{log}");

    let old = scene.cluster.token("shop", "checkout", "mailsluice", -60);
    let output = scene.run(program, &old, &scene.authority);
    assert!(!output.status.success() && said(&output).contains(program.refused), "{}", said(&output));
    let _ = scene.relay.await_log("> AUTH");

    let output = scene.run(program, &good, &scene.authority);
    assert!(output.status.success(), "{}", said(&output));
    let arrived = scene.sink.await_messages(1, PATIENCE);
    let text = String::from_utf8_lossy(&arrived[0].octets);
    // With UTF8SMTPSA where a library says SMTPUTF8 whenever it is offered.
    assert!(text.contains("SMTPSA id "), "{text}");
    assert!(text.contains("\r\n\r\nIt is on its way.\r\n"), "{text}");
    assert_eq!(arrived[0].subject(), "Your order");
    assert_eq!(arrived[0].envelope.sender, "orders@shop.example.org");
    assert_eq!(arrived[0].envelope.recipients, ["someone@example.com"]);
}

#[test]
fn python_sends_with_a_token() {
    sends(&PYTHON);
}

#[test]
fn node_sends_with_a_token() {
    sends(&NODE);
}

#[test]
fn go_sends_with_a_token() {
    sends(&GO);
}

#[test]
fn java_sends_with_a_token() {
    sends(&JAVA);
}

#[test]
fn rust_sends_with_a_token() {
    sends(&RUST);
}

#[test]
fn the_page_has_the_programs_as_they_are() {
    let page = fs::read_to_string(workspace().join("docs/tokens.md")).expect("the page");
    for program in [PYTHON, NODE, GO, JAVA, RUST] {
        let text = fs::read_to_string(program.path()).expect("a program");
        let shown = format!("```{}\n{text}```\n", program.language);
        assert!(page.contains(&shown), "docs/tokens.md has {} otherwise: write\n{shown}", program.file);
    }
    let files = fs::read_dir(workspace().join("docs/tokens")).expect("the folder").count();
    assert_eq!(page.matches("```").count() / 2, files + 1, "a fence for each program, and one of the pod");
}
