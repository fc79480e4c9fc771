//! Resources as they stand in the archive: YAML, without what may be secret; and Events, each as a line.

use mailsluice_crds::{SMTPAccess, access::Place, yaml};
use serde_json::Value;

use super::{archive::File, redact::redacted};

/// A resource as a file.
pub(crate) fn file(name: &str, resource: Value) -> File {
    File::new(format!("resources/{name}.yaml"), yaml::emit(&redacted(resource)))
}

/// Of a list of SMTPAccesses those that ask that relay.
pub(crate) fn asking(mut list: Value, relay: &Place) -> Value {
    if let Some(Value::Array(items)) = list.get_mut("items") {
        let asks =
            |item: &Value| serde_json::from_value(item.clone()).is_ok_and(|ask: SMTPAccess| ask.relay() == *relay);
        items.retain(asks);
    }
    list
}

/// Of a list of Events those about the relay, its pods, its claims and its schedule, the newest first.
pub(crate) fn events(list: Value, relay: &str, schedule: Option<&str>) -> Vec<Value> {
    let part = format!("{relay}-");
    // A pod's claim is named for its volume first.
    let claim = format!("-{relay}-");
    let about = |event: &Value| {
        let name = text(event, "/regarding/name");
        match text(event, "/regarding/kind") {
            "SMTPRelay" => name == relay,
            "TCPSchedule" => Some(name) == schedule,
            "PersistentVolumeClaim" => name.contains(&claim),
            _ => name == relay || name.starts_with(&part),
        }
    };
    let mut events: Vec<Value> = match list {
        Value::Object(mut list) => match list.remove("items") {
            Some(Value::Array(events)) => events.into_iter().filter(about).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    events.sort_by(|a, b| moment(b).cmp(moment(a)));
    events
}

/// An Event as a line.
pub(crate) fn line(event: &Value) -> String {
    let times = event.pointer("/series/count").or_else(|| event.get("deprecatedCount")).and_then(Value::as_u64);
    let times = times.filter(|times| *times > 1).map(|times| format!(" ({times} times)")).unwrap_or_default();
    format!(
        "{} {} {} {}/{}: {}{times}",
        moment(event),
        text(event, "/type"),
        text(event, "/reason"),
        text(event, "/regarding/kind"),
        text(event, "/regarding/name"),
        text(event, "/note"),
    )
}

/// When it happened last. All of these are UTC in the same form, so that their texts can be compared.
fn moment(event: &Value) -> &str {
    let known = ["/series/lastObservedTime", "/deprecatedLastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    known.iter().map(|field| text(event, field)).find(|moment| !moment.is_empty()).unwrap_or("")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_what_asks_for_access_what_asks_this_relay_is_chosen() {
        let ask = |namespace: &str, relay: &Value| {
            json!({
                "apiVersion": "mailsluice.dev/v1alpha1", "kind": "SMTPAccess", "metadata": {"name": "own", "namespace": namespace},
                "spec": {"relayRef": relay, "serviceAccounts": ["*"], "senders": ["@example.org"]},
            })
        };
        let this = json!({"name": "outbound", "namespace": "mail"});
        let own = json!({"name": "outbound"});
        let list = json!({"items": [ask("shop", &this), ask("shop", &own), ask("mail", &own), {"kind": "SMTPAccess"}]});
        let chosen = asking(list, &Place::new(Some("mail".into()), "outbound"));
        let namespaces: Vec<_> =
            chosen["items"].as_array().unwrap().iter().map(|ask| &ask["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, ["shop", "mail"]);
    }

    #[test]
    fn events_about_the_relay_and_what_it_is_made_of_are_chosen_the_newest_first() {
        let event = |kind: &str, name: &str, at: &str| json!({"type": "Normal", "reason": "R", "note": "n", "eventTime": at, "regarding": {"kind": kind, "name": name}});
        let list = json!({"items": [
            event("SMTPRelay", "outbound", "2026-11-24T07:00:00.000000Z"),
            event("Pod", "outbound-0", "2026-11-24T09:00:00.000000Z"),
            event("Pod", "outbounder-0", "2026-11-24T09:00:01.000000Z"),
            event("SMTPRelay", "outbound-2", "2026-11-24T09:00:02.000000Z"),
            event("TCPSchedule", "office-hours", "2026-11-24T08:00:00.000000Z"),
            event("TCPSchedule", "other", "2026-11-24T08:00:00.000000Z"),
            event("PersistentVolumeClaim", "spool-outbound-0", "2026-11-24T06:00:00.000000Z"),
        ]});
        let lines: Vec<String> = events(list, "outbound", Some("office-hours")).iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "2026-11-24T09:00:00.000000Z Normal R Pod/outbound-0: n",
                "2026-11-24T08:00:00.000000Z Normal R TCPSchedule/office-hours: n",
                "2026-11-24T07:00:00.000000Z Normal R SMTPRelay/outbound: n",
                "2026-11-24T06:00:00.000000Z Normal R PersistentVolumeClaim/spool-outbound-0: n",
            ]
        );
    }
}
