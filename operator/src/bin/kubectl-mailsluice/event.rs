//! An Event on the SMTPRelay for what somebody did by the plugin: who, what and why.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Resource as _,
    api::PostParams,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use mailsluice_crds::SMTPRelay;
use mailsluice_ctl::{Line, words::act::Verb};
use mailsluice_operator::monitor::bound::shortened;

use crate::{
    access::{Cluster, Right},
    error::PluginError,
    text::counted,
};

/// Characters of an Event's note that the API server takes in any case: it counts octets, 1024 of them.
const NOTE: usize = 256;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// The action.
    pub(crate) verb: Verb,
    /// What it was about, as in `example.com` or `all mail`.
    pub(crate) target: String,
    /// Why, where they said so.
    pub(crate) why: Option<String>,
    /// Messages to which it was done, in all pods.
    pub(crate) messages: u64,
}

impl Deed {
    /// What the Event says.
    fn note(&self, who: &Line) -> String {
        let Deed { verb, target, why, messages } = self;
        let why = why.as_ref().map(|why| format!(", because: {why}")).unwrap_or_default();
        let done = format!("{} {}", counted(*messages, "message"), verb.done());
        shortened(&format!("{who}: {} {target}{why} ({done})", verb.word()), NOTE)
    }

    /// The Event's reason, in CamelCase.
    fn reason(&self) -> &'static str {
        match self.verb {
            Verb::Retry => "RetriedByUser",
            Verb::Hold => "HeldByUser",
            Verb::Release => "ReleasedByUser",
            Verb::Reject => "RejectedByUser",
            Verb::Drop => "DroppedByUser",
        }
    }
}

/// The name by which the cluster knows who runs this.
pub(crate) async fn user(cluster: &Cluster) -> Result<Line, PluginError> {
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let right = Right { verb: "create", resource: "selfsubjectreviews", group: "authentication.k8s.io" };
    let (parameters, question) = (PostParams::default(), SelfSubjectReview::default());
    let review = cluster.ask(right, reviews.create(&parameters, &question)).await?;
    let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    let name = name.unwrap_or_default();
    name.parse().map_err(|error| PluginError::Config(format!("the cluster calls you {name:?}: {error}")))
}

/// Makes the Event.
pub(crate) async fn publish(cluster: &Cluster, relay: &SMTPRelay, who: &Line, deed: &Deed) -> Result<(), PluginError> {
    let reporter = Reporter { controller: "mailsluice.dev/kubectl".into(), instance: None };
    let event = Event {
        type_: EventType::Normal,
        reason: deed.reason().into(),
        note: Some(deed.note(who)),
        action: deed.verb.word().into(),
        secondary: None,
    };
    let right = Right { verb: "create", resource: "events", group: "events.k8s.io" };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    cluster.ask(right, recorder.publish(&event, &relay.object_ref(&()))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_who_did_what_and_why() {
        let who: Line = "ann@example.org".parse().unwrap();
        let deed = |verb, why: Option<&str>, messages| Deed {
            verb,
            target: "example.com".into(),
            why: why.map(Into::into),
            messages,
        };
        for (deed, reason, note) in [
            (deed(Verb::Retry, None, 2), "RetriedByUser", "ann@example.org: retry example.com (2 messages due now)"),
            (
                deed(Verb::Reject, Some("spam"), 1),
                "RejectedByUser",
                "ann@example.org: reject example.com, because: spam (1 message returned)",
            ),
        ] {
            assert_eq!((deed.reason(), deed.note(&who).as_str()), (reason, note));
        }
        let long = deed(Verb::Hold, Some(&"ü".repeat(2_000)), 0).note(&who);
        assert!(long.len() <= 1_024 && long.ends_with('…'), "{} octets", long.len());
    }
}
