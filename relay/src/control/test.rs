//! A dry run for an address.

use std::time::Duration;

use mailsluice_crds::LogLevel;
use mailsluice_ctl::{
    Line,
    words::test::{Step, StepKind, StepResult, Test, Tested, Verdict},
};

use super::{Control, socket::Peer};
use crate::{
    clock,
    delivery::dry_run::{DryRun, Tried},
    ids::SessionId,
    log::Tag,
    smtp::{AddressError, ForwardPath, ReversePath},
};

/// The longest that a dry run may take: the plugin of kubectl waits no longer for an answer.
const LONGEST: Duration = Duration::from_secs(240);

impl Control {
    /// Tries the way of mail for an address, and writes a record of who wanted that.
    pub(super) async fn test(&self, wanted: &Test, peer: Peer) -> Tested {
        let recipient = bare(&wanted.address).parse::<ForwardPath>();
        let sender = wanted.from.as_ref().map(|from| bare(from).parse::<ReversePath>()).transpose();
        let (recipient, sender) = match (recipient, sender) {
            (Ok(recipient), Ok(sender)) => (recipient, sender),
            (Err(error), _) => return no_address(wanted, &wanted.address, &error),
            (_, Err(error)) => return no_address(wanted, wanted.from.as_ref().unwrap_or(&wanted.address), &error),
        };
        let within = Duration::from_secs(wanted.within.as_secs().into()).min(LONGEST);
        let session = SessionId::next();
        self.tell_test(wanted, &recipient, session, peer);
        let asked = DryRun { recipient, sender, client: wanted.client, now: wanted.now, within, session };
        let Tried { host, verdict, steps } = self.courier.dry_run(&asked).await;
        let session = (verdict != Verdict::NotTried).then(|| session.to_string());
        Tested { now: clock::now(), address: asked.recipient.as_str().to_owned(), host, session, verdict, steps }
    }

    fn tell_test(&self, wanted: &Test, recipient: &ForwardPath, session: SessionId, peer: Peer) {
        let record = self.courier.log.at(LogLevel::Major, Tag::Smtp).field("session", session).field("action", "test");
        let record = peer.note(record.field("by", &wanted.by)).field("recipient", recipient);
        let record = if wanted.now { record.field("now", true) } else { record };
        record.say("an administrator makes a dry run: nothing is sent");
    }
}

/// An address without the angle brackets that it may have been typed with.
fn bare(text: &Line) -> &str {
    let text = text.as_str();
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text)
}

fn no_address(wanted: &Test, text: &Line, error: &AddressError) -> Tested {
    let step = Step {
        step: StepKind::Address,
        result: StepResult::Failed,
        peer: None,
        milliseconds: None,
        text: format!("{text}: {error}"),
        reason: None,
        code: None,
        advice: None,
    };
    let (address, verdict) = (wanted.address.to_string(), Verdict::NotTried);
    Tested { now: clock::now(), address, host: None, session: None, verdict, steps: vec![step] }
}
