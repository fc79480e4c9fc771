//! A dry run: the way of mail for one recipient, by the same code as mail goes it, up to RCPT.
//!
//! Decisions:
//! - It asks the TCP Schedule first, as mail does: a question to the DNS goes over the link too. Where the schedule is closed it stops,
//!   unless it is told to go on.
//! - It is no attempt: nothing is suspended or freed by it, nothing counts it, and the Monitor shows no connection of it. What is suspended or
//!   held it notes, and goes on: to learn whether the host is back is what it is for.
//! - It takes one address after another, in the order of mail, until one can be talked to. What that says of the recipient decides.
//! - It takes one connection of the limit, and ends when its time is over, or the relay stops.

use std::{net::IpAddr, sync::Arc, time::Duration};

use mailsluice_crds::{monitor::Reason, relay::Route};
use mailsluice_ctl::words::test::{Step, StepKind, Verdict};
use tokio::time;

use super::{
    Courier,
    approach::Approach,
    fault::{self, Fault},
    steps::Steps,
    transfer::Watcher,
};
use crate::{
    access::{Peer, Way},
    clock,
    config::Config,
    ids::SessionId,
    intake::host_of,
    route::{NextHop, RouteError, Target},
    smtp::{
        Envelope, ForwardPath, Recipient, ReversePath,
        client::{Client, DecidedBy},
    },
    tcp::Visit,
    tls::Stream,
};

/// What is tried.
pub struct DryRun {
    /// The recipient.
    pub recipient: ForwardPath,
    /// The envelope's sender, where one is given.
    pub sender: Option<ReversePath>,
    /// The client that would bring the mail in.
    pub client: Option<IpAddr>,
    /// Whether the TCP Schedule is overruled.
    pub now: bool,
    /// How long it may take.
    pub within: Duration,
    /// The id of its session.
    pub session: SessionId,
}

/// What came of it.
pub struct Tried {
    /// The host that the recipient's mail goes to, as the Monitor names it; none where no route leads anywhere.
    pub host: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// What was done, in its order.
    pub steps: Vec<Step>,
}

impl Courier {
    /// Makes a dry run.
    pub async fn dry_run(self: &Arc<Self>, asked: &DryRun) -> Tried {
        let steps = Arc::new(Steps::default());
        let config = self.config.borrow().clone();
        note_access(&config, asked, &steps);
        let host = host_of(&config.routes, asked.recipient.as_str());
        let hop = NextHop::from_host_name(&host);
        if hop == NextHop::Nowhere {
            let advice = "Add the domain to the domains of a route, or \"*\" to the last one.";
            steps.refused(StepKind::Route, "no route is for this recipient: its mail goes back at once", advice);
            return Tried { host: None, verdict: Verdict::NotTried, steps: steps.take() };
        }
        steps.ok(StepKind::Route, &route(&config, &hop, asked.sender.as_ref()));
        let verdict = tokio::select! {
            verdict = time::timeout(asked.within, self.go(asked, host.clone(), &steps)) => verdict.unwrap_or_else(|_| {
                steps.cut_short(asked.within);
                Verdict::NotReached
            }),
            () = self.stop.cancelled() => {
                steps.note(StepKind::Quit, None, "the relay stops");
                Verdict::NotReached
            }
        };
        Tried { host: Some(host), verdict, steps: steps.take() }
    }

    /// From the queue on.
    async fn go(self: &Arc<Self>, asked: &DryRun, host: String, steps: &Arc<Steps>) -> Verdict {
        self.note_queue(&host, steps);
        let Visit { said, waits, lease } = self.gate.visit(&host, asked.session, asked.now, clock::now());
        match (&waits, &lease) {
            (None, _) => steps.ok(StepKind::Schedule, &said),
            (Some(waits), Some(_)) => {
                let text = format!("{}; connects all the same, as --now asks", waits.problem);
                steps.note(StepKind::Schedule, Some(waits.reason), &text);
            }
            (Some(waits), None) => steps.stopped(StepKind::Schedule, waits.reason, &waits.problem),
        }
        let Some(lease) = lease else { return Verdict::NotTried };
        let approach = Approach::dry(self.clone(), host, asked.session, lease, steps.clone());
        let targets = match approach.look_up(approach.asks_for_dane()).await {
            Ok(targets) => targets,
            Err(error) => {
                note_dns(&error, steps);
                return Verdict::NotReached;
            }
        };
        let shown: Vec<String> = targets.iter().map(ToString::to_string).collect();
        steps.ok(StepKind::Dns, &shown.join(", "));
        let targets = match approach.narrow(targets).await {
            Ok(targets) => targets,
            Err(fault) => {
                steps.error(StepKind::MtaSts, &fault.error);
                return Verdict::NotReached;
            }
        };
        for target in targets {
            approach.note_suspended(&target, steps);
            match approach.reach_dry(&target).await {
                Ok(client) => return approach.ask(client, &target, asked, steps).await,
                Err(fault) => {
                    steps.fault(&fault);
                    if fault.is_of_all_addresses() {
                        break;
                    }
                }
            }
        }
        Verdict::NotReached
    }

    /// What waits for the host, and what holds it.
    fn note_queue(&self, host: &str, steps: &Steps) {
        let (row, held) = self.queue.read(|queue| (queue.row(host), queue.holds().sentence(host)));
        let messages = row.as_ref().map_or(0, |row| row.messages);
        let waiting = match messages {
            0 => "no mail waits for this host".to_owned(),
            1 => "1 message waits for this host".to_owned(),
            _ => format!("{messages} messages wait for this host"),
        };
        let why = row.and_then(|row| Some((row.reason?, row.problem.unwrap_or_default())));
        match (held, why) {
            (Some(held), _) => steps.note(StepKind::Queue, Some(Reason::Held), &format!("{waiting}; {held}")),
            (None, Some((reason, problem))) => {
                steps.note(StepKind::Queue, Some(reason), &format!("{waiting}: {problem}"));
            }
            (None, None) => steps.ok(StepKind::Queue, &waiting),
        }
    }
}

impl Approach {
    /// Whether mail leaves this address alone now.
    fn note_suspended(&self, target: &Target, steps: &Steps) {
        let held =
            self.courier.gate.addresses(|addresses| addresses.held(target.address, &self.host, clock::now()).cloned());
        if let Some(held) = held {
            let text = format!("{} is suspended till {:.0}: {}", target.address, held.till, held.error.text);
            steps.note(StepKind::Queue, Some(held.reason), &text);
        }
    }

    async fn reach_dry(&self, target: &Target) -> Result<Client<Stream, Watcher>, Fault> {
        let wanted = self.wanted(target, None).await?;
        let client = self.reach(target, wanted.as_ref()).await?;
        if wanted.is_none() {
            self.note(|steps| steps.note(StepKind::StartTls, None, "mail goes in clear: the route's tls is Off"));
        }
        Ok(client)
    }

    /// Asks the host for the recipient, and takes leave.
    async fn ask(
        &self,
        mut client: Client<Stream, Watcher>,
        target: &Target,
        asked: &DryRun,
        steps: &Steps,
    ) -> Verdict {
        let mut envelope = Envelope::new(self.way.sender(asked.sender.clone().unwrap_or(ReversePath::Null)));
        envelope.recipients.push(Recipient::new(asked.recipient.clone()));
        let peer = target.address.to_string();
        match client.probe(&envelope).await {
            Ok(refused) => {
                if let Some(outcome) = &refused
                    && outcome.decided_by == DecidedBy::Client
                {
                    // The host was not asked, and so has said nothing that would have been noted.
                    let error = fault::refusal(&outcome.reply, outcome.stage, &peer, clock::now());
                    steps.error(StepKind::MailFrom, &error);
                }
                // What the host thinks of our leaving changes nothing.
                let _ = client.quit().await;
                if refused.is_some() { Verdict::Refused } else { Verdict::Accepted }
            }
            Err(error) => {
                let fault = Fault::client(&error, Some(&peer), clock::now());
                steps.fault(&fault);
                if error.reply().is_some() { Verdict::Refused } else { Verdict::NotReached }
            }
        }
    }
}

/// Whether the relay takes such mail, as far as that can be said without the client.
fn note_access(config: &Config, asked: &DryRun, steps: &Steps) {
    const ADVICE: &str = "Add the client, or the sender to its senders, to the SMTPRelay's clients.";
    let Config { access, .. } = config;
    match (asked.client, &asked.sender) {
        (Some(address), sender) => {
            let peer = Peer { address, identity: None, holder: None, way: Way::Auth };
            let checked = match sender {
                Some(sender) => access.check(&peer, sender).map(drop),
                None => access.check_client(&peer),
            };
            match checked {
                Ok(()) => steps.ok(StepKind::Access, &format!("{address} may send this mail")),
                // It may well be let in, once it has shown who it is.
                Err(reply) if reply.code() == 530 => {
                    let text = format!("{address} may send only after it has logged in or shown its certificate");
                    steps.note(StepKind::Access, None, &text);
                }
                Err(reply) => steps.refused(StepKind::Access, &reply.to_string(), ADVICE),
            }
        }
        (None, Some(sender)) if !access.allows_from_somebody(sender) => {
            steps.refused(StepKind::Access, &format!("no entry of clients allows the sender {sender}"), ADVICE);
        }
        (None, Some(sender)) => {
            let text = format!("some clients may send as {sender}; --client says which one is meant");
            steps.ok(StepKind::Access, &text);
        }
        (None, None) => {}
    }
}

/// The route in a sentence.
fn route(config: &Config, hop: &NextHop, sender: Option<&ReversePath>) -> String {
    let host = hop.host_name();
    let number = config.routes.route_to(&host).map(|number| format!("routes[{number}]: ")).unwrap_or_default();
    let (policy, route) = config.tls_to(hop);
    let to = match hop {
        NextHop::Mx(domain) => format!("the mail exchangers of {domain}"),
        NextHop::Smarthost { .. } | NextHop::Nowhere => format!("the smarthost {host}"),
    };
    let secret = |route: &Route| Some(route.smarthost.as_ref()?.credentials.as_ref()?.secret_name.clone());
    let login = route.and_then(secret).map(|secret| format!(", login by Secret {secret}")).unwrap_or_default();
    let written = sender.map(|sender| (sender, config.routes.way(&host).sender(sender.clone())));
    let written = written.filter(|(sender, written)| *sender != written);
    let written = written.map(|(_, written)| format!(", sender written {written}")).unwrap_or_default();
    format!("{number}{to}, TLS {}{login}{written}", policy.name())
}

/// There is no way to the host.
fn note_dns(error: &RouteError, steps: &Steps) {
    let mut fault = Fault::route(error, clock::now());
    if error.permanent {
        fault.error.text = format!("{}; mail goes back at once", fault.error.text);
    }
    steps.fault(&fault);
}
