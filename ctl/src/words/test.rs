//! `test`: whether a host would take mail for an address now, step by step, without sending any.

use std::{fmt, net::IpAddr};

use clap::Args;
use jiff::Timestamp;
use mailsluice_crds::{catalogue::Code, monitor::Reason, quantity::Interval};
use serde::{Deserialize, Serialize};

use super::{Answer, Examples, Question};
use crate::{
    Line, Said,
    table::{Table, plain},
};

pub(super) const EXAMPLES: Examples = &[
    ("ann@example.com", "how far mail for this address would come now, step by step; none is sent"),
    (
        "ann@example.com --from shop@example.org --client 10.1.2.3",
        "the same for mail of this sender, and whether the relay would take it from this client at all",
    ),
    ("ann@example.com --now", "connect even though the TCP Schedule is closed; the log keeps who did"),
    ("ann@example.com --within 30s -o json", "for a program that does not wait long"),
];

/// What is to be tried.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// The recipient's address.
    #[arg(value_name = "ADDRESS")]
    address: Line,
    /// The envelope's sender [default: none, as reports have].
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Line>,
    /// The address of a client, to be told whether the relay takes such mail from it.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Connect even though the TCP Schedule allows no connection now.
    #[arg(long)]
    now: bool,
    /// How long it may take, up to 4m.
    #[arg(long, value_name = "TIME", default_value_t = WITHIN)]
    within: Interval,
}

/// How long a dry run may take, where nothing else is asked for.
const WITHIN: Interval = Interval::from_secs(120);

impl Wanted {
    pub(super) fn arguments(&self) -> Vec<String> {
        let from = self.from.iter().map(|from| format!("--from={from}"));
        let client = self.client.iter().map(|client| format!("--client={client}"));
        let now = self.now.then(|| "--now".to_owned());
        let within = [format!("--within={}", self.within), "--".to_owned(), self.address.to_string()];
        std::iter::once("test".to_owned()).chain(from).chain(client).chain(now).chain(within).collect()
    }
}

/// Tries the way of mail for an address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// The recipient's address, as it was typed.
    pub address: Line,
    /// The envelope's sender; none: the null sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Line>,
    /// The client that would bring the mail in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Whether the TCP Schedule is to be overruled.
    #[serde(default)]
    pub now: bool,
    /// How long it may take.
    pub within: Interval,
    /// Who wants it.
    pub by: Line,
}

impl Test {
    pub(super) fn new(wanted: &Wanted, by: &Line) -> Test {
        let Wanted { address, from, client, now, within } = wanted.clone();
        Test { address, from, client, now, within, by: by.clone() }
    }
}

impl Question for Test {
    const PATH: &'static str = "/test";
    type Answer = Tested;
}

/// How far mail for the address would come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// The recipient's address.
    pub address: String,
    /// The host that its mail goes to, as the Monitor names it; none where there is no route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The session, all of whose records in the log have this id; none where nothing was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// What was done, in its order.
    pub steps: Vec<Step>,
}

/// What came of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A host takes mail for the address, as far as it says so before the text.
    Accepted,
    /// A host refuses the sender or the recipient.
    Refused,
    /// No host could be brought to the point where mail is sent.
    NotReached,
    /// No host was connected to: what holds mail back, or leads nowhere, came first.
    NotTried,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which.
    pub step: StepKind,
    /// What came of it.
    pub result: StepResult,
    /// The address and port, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Milliseconds that it took, where something was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// What was found, or said.
    pub text: String,
    /// Why mail waits here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The code of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A step on the way of mail, in the order in which they are taken; those from `Connect` on again for each address that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepKind {
    /// Reading the addresses that were given.
    Address,
    /// Whether the relay takes such mail.
    Access,
    /// The route.
    Route,
    /// What waits for the host already, and what holds it.
    Queue,
    /// The TCP Schedule, and the limit of connections.
    Schedule,
    /// The host's mail exchangers and their addresses.
    Dns,
    /// The domain's MTA-STS policy, where the route asks for it.
    MtaSts,
    /// The TCP connection.
    Connect,
    /// The greeting.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// TLS.
    StartTls,
    /// Logging in.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// RSET and QUIT.
    Quit,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepResult {
    /// It is as it should be.
    Ok,
    /// Mail waits for it, or goes otherwise than one might think; the dry run goes on.
    Note,
    /// It failed.
    Failed,
    /// It is not gone on from here.
    Stopped,
}

impl fmt::Display for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StepResult::Ok => "ok",
            StepResult::Note => "note",
            StepResult::Failed => "FAILED",
            StepResult::Stopped => "stopped",
        })
    }
}

impl Tested {
    /// Whether mail would be taken, from the client and by the host.
    fn is_well(&self) -> bool {
        let taken = !self.steps.iter().any(|step| step.step == StepKind::Access && step.result == StepResult::Failed);
        self.verdict == Verdict::Accepted && taken
    }

    /// What came of it, in a sentence.
    fn sentence(&self) -> String {
        let Tested { address, .. } = self;
        let waits = self.steps.iter().any(|step| step.result == StepResult::Note && step.reason.is_some());
        match self.verdict {
            Verdict::Accepted if !self.is_well() => {
                format!("The host takes mail for {address}, but this relay does not take it from there.")
            }
            Verdict::Accepted if waits => {
                format!("The host takes mail for {address}; mail of this relay waits all the same, as the notes say.")
            }
            Verdict::Accepted => format!("The host takes mail for {address}. Nothing was sent."),
            Verdict::Refused => format!("The host does not take this mail for {address}."),
            Verdict::NotReached => format!("No host can be given mail for {address} now."),
            Verdict::NotTried => format!("No host was connected to for {address}."),
        }
    }
}

impl Answer for Tested {
    fn table(said: &[Said<Self>]) -> String {
        let one = |Said { pod, answer }: &Said<Self>| {
            let whose = pod.as_ref().map(|pod| format!("{pod}: ")).unwrap_or_default();
            let host = answer.host.as_ref().map(|host| format!(" goes to {host}")).unwrap_or_default();
            let session = answer.session.as_ref().map(|id| format!(", session {id}")).unwrap_or_default();
            let head = plain(&format!("{whose}mail for {}{host}{session}", answer.address));
            format!("{head}\n{}{}\n", steps(&answer.steps), plain(&format!("{whose}{}", answer.sentence())))
        };
        said.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    fn is_success(said: &[Said<Self>]) -> bool {
        said.iter().all(|said| said.answer.is_well())
    }
}

fn steps(steps: &[Step]) -> String {
    let mut table = Table::new(&["STEP", "RESULT", ">MS", "WHAT"]);
    for step in steps {
        let code = step.code.as_ref().map(|code| code.name().into_owned());
        let name = code.or_else(|| step.reason.map(|reason| reason.name().to_owned()));
        // A reply's text begins with its code.
        let name = name.filter(|name| !step.text.starts_with(name)).map(|name| format!("{name}: "));
        table.row([
            format!("{:?}", step.step),
            step.result.to_string(),
            step.milliseconds.map_or_else(|| "-".to_owned(), |milliseconds| milliseconds.to_string()),
            format!("{}{}", name.unwrap_or_default(), step.text),
        ]);
        if let Some(advice) = &step.advice {
            table.row([String::new(), String::new(), String::new(), format!("To do: {advice}")]);
        }
    }
    table.text()
}
