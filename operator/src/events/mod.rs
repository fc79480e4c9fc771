//! Events: one for each transition of a condition that somebody waits for or is woken by.
//!
//! - here: what is worth one (pure);
//! - [`series`]: what of it is told, and what is counted with what was told (pure);
//! - [`publisher`]: tells the API server.

mod publisher;
mod series;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mailsluice_crds::monitor::StrandedMail;

pub use publisher::Publisher;

use crate::status::{self, transition};

/// Octets of an Event's note that the API server takes.
const NOTE: usize = 1_024;

/// What is done when mail is stranded, or taken up again.
const HANDOVER: &str = "HandOver";
/// What is done when claims become larger.
const GROWTH: &str = "Grow";

/// A transition, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether it asks for attention.
    pub warning: bool,
    /// The condition that changed, or what was done.
    pub condition: String,
    /// The condition's reason.
    pub reason: String,
    /// What it is about beside the object, such as the host: what is told again for the same reason about the same is counted.
    pub subject: String,
    /// The condition's message: the host and the facts.
    pub note: String,
}

/// The transitions between the conditions before and after that are worth an Event. `waiting` is the host whose mail waits
/// longest, if any does: an Event about delivery names it.
#[must_use]
pub fn transitions(before: &[Condition], after: &[Condition], waiting: Option<&str>) -> Vec<Notice> {
    let told = after.iter().filter(|condition| is_told(condition));
    let mut notices: Vec<_> = told
        .filter_map(|condition| {
            let was = before.iter().find(|was| was.type_ == condition.type_);
            let warning = is_bad(condition);
            let news = match was {
                Some(was) => !transition::same(was, condition) && (is_told(was) || warning),
                // A relay that comes up as it should says nothing until it has.
                None => warning,
            };
            let host = waiting.filter(|_| warning && condition.type_ == "Delivering");
            let note = match host.filter(|host| !condition.message.contains(host)) {
                Some(host) => cut(&format!("{host}: {}", condition.message)).to_owned(),
                None => cut(&condition.message).to_owned(),
            };
            let subject = host.map_or_else(|| wording(&note), str::to_owned);
            let (condition, reason) = (condition.type_.clone(), condition.reason.clone());
            news.then_some(Notice { warning, condition, reason, subject, note })
        })
        .collect();
    // What makes the relay unready and stops its mail is one piece of news.
    let stopped = notices.iter().find(|notice| notice.condition == "Delivering").map(|notice| notice.reason.clone());
    notices.retain(|notice| notice.condition != "Ready" || Some(&notice.reason) != stopped.as_ref());
    notices
}

/// What is new of mail on the claims of pods that are scaled away: one piece of news for all that is stranded, and one for all that is taken up
/// again.
#[must_use]
pub fn stranding(before: &[StrandedMail], after: &[StrandedMail]) -> Vec<Notice> {
    let only_in = |these: &[StrandedMail], others: &[StrandedMail]| {
        let alone = these.iter().filter(|one| !others.iter().any(|other| other.claim == one.claim));
        let told: Vec<_> =
            alone.map(|StrandedMail { claim, messages }| (claim.clone(), format!("{messages} on {claim}"))).collect();
        let (claims, told): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        (!told.is_empty()).then(|| (claims.join(", "), told.join(", ")))
    };
    let notice = |warning, reason: &str, subject: String, note: String| {
        let (subject, note) = (cut(&subject).to_owned(), cut(&note).to_owned());
        Notice { warning, condition: HANDOVER.into(), reason: reason.into(), subject, note }
    };
    let stranded = only_in(after, before).map(|(claims, told)| {
        let note = format!("no sibling took the messages of a pod that is scaled away: {told}; they wait for a scale-up that brings its pod back");
        notice(true, "MailStranded", claims, note)
    });
    let taken_up = only_in(before, after).map(|(claims, told)| {
        notice(
            false,
            "StrandedMailTakenUp",
            claims,
            format!("messages that were stranded wait no longer for a pod: {told}"),
        )
    });
    stranded.into_iter().chain(taken_up).collect()
}

/// That claims begin to grow, and that they have grown; that they cannot is a transition.
#[must_use]
pub fn growth(before: &[Condition], after: &[Condition]) -> Option<Notice> {
    let progressing = |conditions: &[Condition]| conditions.iter().find(|one| one.type_ == "Progressing").cloned();
    let grows = |condition: &Condition| condition.reason == status::GROWING;
    let after = progressing(after)?;
    let (reason, note) = match progressing(before).is_some_and(|before| grows(&before)) {
        false if grows(&after) => (status::GROWING, after.message),
        true if status::has_its_storage(&after) => {
            ("StorageGrown", "the claims have what spec.storage asks for".to_owned())
        }
        _ => return None,
    };
    let (note, subject) = (cut(&note).to_owned(), wording(&note));
    Some(Notice { warning: false, condition: GROWTH.into(), reason: reason.into(), subject, note })
}

/// Available follows Ready, and a rollout that goes well is no news.
fn is_told(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        "Ready" | "Delivering" | "Injected" | "Accepted" | "Paused" => condition.status != "Unknown",
        "Progressing" => condition.reason == status::UNCHANGED,
        _ => false,
    }
}

fn is_bad(condition: &Condition) -> bool {
    match condition.reason.as_str() {
        // Pods that are not ready yet, or no longer because they are being replaced, are most often well in a moment.
        "PodsNotReady" | "ScaledToZero" | "Resumed" => false,
        "HostsSuspended" | "NeverOpens" | "PausedByAnnotation" => true,
        _ => condition.status == "False",
    }
}

/// A note without its digits: how many pods are ready, and what time it is, changes, and is the same news all the same.
#[must_use]
pub fn wording(note: &str) -> String {
    note.chars().filter(|character| !character.is_ascii_digit()).collect()
}

fn cut(message: &str) -> &str {
    message.get(..message.floor_char_boundary(NOTE)).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn each_transition_is_told_once_with_the_host_and_the_reason() {
        let well = condition("Delivering", "True", "Delivering", "nothing hinders the mail");
        let closed = condition("Delivering", "False", "TcpScheduleClosed", "TCP/IP link is down: …");
        let closed_later = condition("Delivering", "False", "TcpScheduleClosed", "other words");
        let some = condition("Delivering", "True", "HostsSuspended", "mail for 1 of 2 hosts waits; example.com: …");
        let unknown = condition("Delivering", "Unknown", "NoMonitor", "");
        let starting = condition("Ready", "False", "PodsNotReady", "0 of 2 pods are ready");
        let ready = condition("Ready", "True", "PodsReady", "2 of 2 pods are ready");
        let conflict = condition("Ready", "False", "NameTaken", "the Service \"outbound\" exists …");
        let rolling = condition("Progressing", "True", "RollingOut", "");
        let storage = condition("Progressing", "False", "StorageUnchanged", "spec.storage asks for 20Gi …");
        let accepted = condition("Accepted", "True", "Accepted", "relays obey it");
        let never = condition("Accepted", "True", "NeverOpens", "relays obey it, and it never opens …");
        let available = condition("Available", "False", "NoPodReady", "");
        let paused = condition("Paused", "True", "PausedByAnnotation", "nothing of what is asked for …");
        let resumed = condition("Paused", "False", "Resumed", "what is asked for is carried out");
        let halted = condition("Progressing", "False", "PausedByAnnotation", "nothing of what is asked for …");
        for (name, before, after, told) in [
            ("closes", Some(&well), &closed, Some((true, "TcpScheduleClosed"))),
            ("stays closed", Some(&closed), &closed, None),
            ("other words only", Some(&closed), &closed_later, None),
            ("opens", Some(&closed), &well, Some((false, "Delivering"))),
            ("a host is suspended", Some(&well), &some, Some((true, "HostsSuspended"))),
            ("known for the first time, well", None, &well, None),
            ("known for the first time, closed", None, &closed, Some((true, "TcpScheduleClosed"))),
            ("well after it could not be told", Some(&unknown), &well, None),
            ("closed after it could not be told", Some(&unknown), &closed, Some((true, "TcpScheduleClosed"))),
            ("comes up", None, &starting, None),
            ("is up", Some(&starting), &ready, Some((false, "PodsReady"))),
            ("a pod is lost", Some(&ready), &starting, Some((false, "PodsNotReady"))),
            ("a name is taken", Some(&starting), &conflict, Some((true, "NameTaken"))),
            ("rolls out", None, &rolling, None),
            ("storage cannot change", Some(&rolling), &storage, Some((true, "StorageUnchanged"))),
            ("a schedule closes for the last time", Some(&accepted), &never, Some((true, "NeverOpens"))),
            ("a schedule never opens", None, &never, Some((true, "NeverOpens"))),
            ("a schedule is obeyed", None, &accepted, None),
            ("nobody takes mail, which Ready tells", None, &available, None),
            ("it is paused", None, &paused, Some((true, "PausedByAnnotation"))),
            ("it is resumed", Some(&paused), &resumed, Some((false, "Resumed"))),
            ("it is paused again", Some(&resumed), &paused, Some((true, "PausedByAnnotation"))),
            ("a rollout is paused, which Paused tells", Some(&rolling), &halted, None),
        ] {
            let before: Vec<_> = before.into_iter().cloned().collect();
            let notices = transitions(&before, std::slice::from_ref(after), None);
            let seen = notices.first().map(|notice| (notice.warning, notice.reason.as_str()));
            assert_eq!(seen, told, "{name}");
            if let Some(notice) = notices.first() {
                assert_eq!((&notice.note, &notice.condition), (&after.message, &after.type_), "{name}");
            }
        }
    }

    #[test]
    fn an_event_about_delivery_names_the_host_that_waits_longest() {
        let closed = condition("Delivering", "False", "TcpScheduleClosed", "TCP/IP link is down: …");
        let some = condition("Delivering", "True", "HostsSuspended", "mail for 1 of 2 hosts waits; example.com: …");
        let well = condition("Delivering", "True", "Delivering", "nothing hinders the mail");
        for (before, after, note, subject) in [
            (&well, &closed, "example.com: TCP/IP link is down: …", "example.com"),
            (&well, &some, "mail for 1 of 2 hosts waits; example.com: …", "example.com"),
            (&closed, &well, "nothing hinders the mail", "nothing hinders the mail"),
        ] {
            let notices = transitions(std::slice::from_ref(before), std::slice::from_ref(after), Some("example.com"));
            assert_eq!((notices[0].note.as_str(), notices[0].subject.as_str()), (note, subject));
        }
    }

    #[test]
    fn numbers_that_change_make_no_other_news() {
        let ready = |status: &str, reason: &str, message: &str| condition("Ready", status, reason, message);
        let subject = |before: Condition, after: Condition| transitions(&[before], &[after], None)[0].subject.clone();
        let up = || ready("True", "PodsReady", "3 of 3 pods are ready");
        let one_lost = subject(up(), ready("False", "PodsNotReady", "2 of 3 pods are ready"));
        let two_lost = subject(up(), ready("False", "PodsNotReady", "1 of 3 pods are ready"));
        assert_eq!(one_lost, two_lost);
        let taken = |name: &str| subject(up(), ready("False", "NameTaken", &format!("the Service {name:?} exists …")));
        assert_ne!(taken("outbound"), taken("inbound"));
    }

    #[test]
    fn what_two_conditions_say_for_one_reason_is_told_once() {
        let ready = condition("Ready", "False", "ScheduleNotFound", "all mail is held: …");
        let delivering = condition("Delivering", "False", "ScheduleNotFound", "all mail is held: …");
        let notices = transitions(&[], &[ready, delivering], None);
        let told: Vec<_> = notices.iter().map(|notice| notice.condition.as_str()).collect();
        assert_eq!(told, ["Delivering"]);
    }

    #[test]
    fn mail_is_told_of_when_it_is_stranded_and_when_it_is_taken_up() {
        let mail = |number: u32, messages| StrandedMail { claim: format!("spool-outbound-{number}"), messages };
        let (one, two) = (mail(1, 7), mail(2, 3));
        for (name, before, after, told) in [
            ("nothing", vec![], vec![], vec![]),
            (
                "two pods' mail",
                vec![],
                vec![one.clone(), two.clone()],
                vec![(true, "7 on spool-outbound-1, 3 on spool-outbound-2")],
            ),
            ("it is known", vec![one.clone()], vec![one.clone()], vec![]),
            ("it is counted again", vec![one.clone()], vec![mail(1, 6)], vec![]),
            ("another's too", vec![one.clone()], vec![one.clone(), two.clone()], vec![(true, "3 on spool-outbound-2")]),
            (
                "a pod is back",
                vec![one.clone(), two.clone()],
                vec![one.clone()],
                vec![(false, "3 on spool-outbound-2")],
            ),
            (
                "one for the other",
                vec![one.clone()],
                vec![two.clone()],
                vec![(true, "3 on spool"), (false, "7 on spool")],
            ),
        ] {
            let notices = stranding(&before, &after);
            assert_eq!(notices.len(), told.len(), "{name}: {notices:?}");
            for (notice, (warning, text)) in notices.iter().zip(told) {
                assert_eq!(notice.warning, warning, "{name}");
                assert!(notice.note.contains(text), "{name}: {}", notice.note);
                assert!(notice.subject.starts_with("spool-outbound-"), "{name}: {}", notice.subject);
            }
        }
        let many: Vec<_> = (0..100).map(|number| mail(number, 1_000_000)).collect();
        assert!(stranding(&[], &many)[0].note.len() <= NOTE);
    }

    #[test]
    fn claims_that_grow_are_told_of_at_the_beginning_and_at_the_end() {
        let progressing = |status: &str, reason: &str| condition("Progressing", status, reason, "spool-outbound-0 …");
        let [complete, unchanged, paused] =
            ["Complete", "StorageUnchanged", "PausedByAnnotation"].map(|reason| progressing("False", reason));
        let grows = progressing("True", "GrowingStorage");
        for (name, before, after, told) in [
            ("they begin", Some(&complete), &grows, Some("GrowingStorage")),
            ("they begin at once", None, &grows, Some("GrowingStorage")),
            ("it is allowed at last", Some(&unchanged), &grows, Some("GrowingStorage")),
            ("they go on", Some(&grows), &grows, None),
            ("they have grown", Some(&grows), &complete, Some("StorageGrown")),
            ("it was something else", Some(&unchanged), &complete, None),
            ("they cannot, which the transition tells", Some(&grows), &unchanged, None),
            ("it is not known meanwhile", Some(&grows), &paused, None),
        ] {
            let before: Vec<_> = before.into_iter().cloned().collect();
            let notice = growth(&before, std::slice::from_ref(after));
            assert_eq!(notice.as_ref().map(|notice| notice.reason.as_str()), told, "{name}");
            assert!(notice.is_none_or(|notice| !notice.warning), "{name}");
        }
    }

    #[test]
    fn a_note_is_never_longer_than_the_api_takes() {
        let long = condition("Delivering", "False", "SpoolFailing", &"ü".repeat(2_000));
        let notices = transitions(&[], &[long], None);
        assert!(notices[0].note.len() <= 1_024 && notices[0].note.len() > 1_020, "{}", notices[0].note.len());
    }
}
