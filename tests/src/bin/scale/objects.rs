//! The relays and their TCP Schedules.

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

const GROUP: &str = "mailsluice.dev";
const VERSION: &str = "v1alpha1";
/// Objects that are made at a time.
const AT_ONCE: usize = 16;

/// The name of the relay of that number.
pub(super) fn relay(number: usize) -> String {
    format!("relay-{number}")
}

/// The number of the relay of that name.
pub(super) fn number(relay: &str) -> Option<usize> {
    relay.strip_prefix("relay-")?.parse().ok()
}

/// Makes them.
pub(super) async fn create(client: &Client, relays: usize, schedules: usize) {
    let schedule = |number: usize| {
        json!({"default": "Open", "windows": [{"days": ["Sun"], "from": "03:00", "to": "03:30", "link": "Closed"}],
            "timeZone": if number.is_multiple_of(2) { "UTC" } else { "Europe/Rome" }})
    };
    make(
        client,
        "TCPSchedule",
        "tcpschedules",
        (0..schedules).map(|number| (format!("schedule-{number}"), schedule(number))),
    )
    .await;
    let spec = |number: usize| json!({"scheduleRef": {"name": format!("schedule-{}", number % schedules)}});
    make(client, "SMTPRelay", "smtprelays", (0..relays).map(|number| (relay(number), spec(number)))).await;
}

async fn make(client: &Client, kind: &str, plural: &str, specs: impl Iterator<Item = (String, Value)>) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let objects = specs.map(|(name, spec)| DynamicObject::new(&name, &resource).data(json!({"spec": spec})));
    stream::iter(objects)
        .for_each_concurrent(AT_ONCE, |object| {
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &object).await.expect("an object");
            }
        })
        .await;
}
