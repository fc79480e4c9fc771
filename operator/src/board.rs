//! What the operator's page shows: of each relay what was drawn of it last, while this operator leads; else who does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::{
    SMTPRelay, SMTPRelayStatus,
    monitor::{ClientRow, HostRow, Link, QueueTotals},
};
use serde::Serialize;

/// The board: reconciles post on it, and the page reads it.
#[derive(Debug, Default)]
pub struct Board(Mutex<Role>);

#[derive(Debug)]
enum Role {
    /// Another one leads, if it is known.
    StandsBy { leader: Option<String> },
    /// This one leads; the relays by namespace and name.
    Leads(BTreeMap<(String, String), Posted>),
}

impl Default for Role {
    fn default() -> Self {
        Role::StandsBy { leader: None }
    }
}

#[derive(Debug, Clone, Default)]
struct Posted {
    status: Arc<SMTPRelayStatus>,
    time_zone: Option<String>,
}

/// All relays: the JSON of `/relays`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Relays {
    /// The version of the operator.
    pub version: &'static str,
    /// The operator's clock.
    pub now: Timestamp,
    /// Whether this operator leads; one that does not knows no relays.
    pub leads: bool,
    /// The pod that leads, where another does and is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The relays, by namespace and name.
    pub relays: Vec<RelayRow>,
}

/// One relay without its hosts. What is not known is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayRow {
    /// The SMTPRelay's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its pods that are ready, of those that are wanted: `1/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// What hinders its mail most: the sentence of its status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether connections are allowed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// The zone of its TCP Schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Totals over all its pods and hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueTotals>,
}

/// One relay with its worst hosts and the clients that it refused: the JSON of `/relays/NAMESPACE/NAME`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayHosts {
    /// The relay.
    #[serde(flatten)]
    pub relay: RelayRow,
    /// Its worst hosts, as in its status.
    pub monitor: Vec<HostRow>,
    /// How many hosts it has beyond those.
    pub hosts_not_shown: u32,
    /// Its clients, as in its status.
    pub clients: Vec<ClientRow>,
    /// How many clients it has beyond those.
    pub clients_not_shown: u32,
}

impl Board {
    /// This operator leads: it knows no relay yet.
    pub fn lead(&self) {
        *self.lock() = Role::Leads(BTreeMap::new());
    }

    /// This operator does not lead any more, and forgets what it knew.
    pub fn stand_by(&self) {
        *self.lock() = Role::default();
    }

    /// The Lease is held by this identity, which begins with the name of a pod.
    pub fn held_by(&self, identity: &str) {
        let pod = identity.rsplit_once('_').map_or(identity, |(pod, _)| pod);
        if let Role::StandsBy { leader } = &mut *self.lock() {
            *leader = Some(pod.to_owned()).filter(|pod| !pod.is_empty());
        }
    }

    /// There is this relay; the stored status stands until one is drawn.
    pub fn note(&self, relay: &ObjectRef<SMTPRelay>, stored: Option<&SMTPRelayStatus>) {
        if let Role::Leads(relays) = &mut *self.lock() {
            relays
                .entry(place(relay))
                .or_insert_with(|| Posted { status: Arc::new(stored.cloned().unwrap_or_default()), time_zone: None });
        }
    }

    /// This was drawn of the relay, with moments in this zone.
    pub fn post(&self, relay: &ObjectRef<SMTPRelay>, drawn: Arc<SMTPRelayStatus>, time_zone: Option<&str>) {
        if let Role::Leads(relays) = &mut *self.lock() {
            relays.insert(place(relay), Posted { status: drawn, time_zone: time_zone.map(str::to_owned) });
        }
    }

    /// Takes off relays that are not there any more.
    pub fn retain(&self, exists: impl Fn(&str, &str) -> bool) {
        if let Role::Leads(relays) = &mut *self.lock() {
            relays.retain(|(namespace, name), _| exists(namespace, name));
        }
    }

    /// All relays.
    #[must_use]
    pub fn relays(&self, now: Timestamp) -> Relays {
        let version = env!("CARGO_PKG_VERSION");
        match &*self.lock() {
            Role::StandsBy { leader } => {
                Relays { version, now, leads: false, leader: leader.clone(), relays: Vec::new() }
            }
            Role::Leads(relays) => {
                let relays = relays.iter().map(|((namespace, name), posted)| posted.row(namespace, name)).collect();
                Relays { version, now, leads: true, leader: None, relays }
            }
        }
    }

    /// One relay; `None` where it is not known.
    #[must_use]
    pub fn relay(&self, namespace: &str, name: &str) -> Option<RelayHosts> {
        let posted = match &*self.lock() {
            Role::StandsBy { .. } => return None,
            Role::Leads(relays) => relays.get(&(namespace.to_owned(), name.to_owned()))?.clone(),
        };
        let SMTPRelayStatus { monitor, hosts_not_shown, clients, clients_not_shown, .. } = (*posted.status).clone();
        let relay = posted.row(namespace, name);
        Some(RelayHosts { relay, monitor, hosts_not_shown, clients, clients_not_shown })
    }

    fn lock(&self) -> MutexGuard<'_, Role> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posted {
    fn row(&self, namespace: &str, name: &str) -> RelayRow {
        let SMTPRelayStatus { ready, problem, link, queue, .. } = &*self.status;
        RelayRow {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ready: ready.clone(),
            problem: problem.clone(),
            link: link.clone(),
            time_zone: self.time_zone.clone(),
            queue: queue.clone(),
        }
    }
}

fn place(relay: &ObjectRef<SMTPRelay>) -> (String, String) {
    (relay.namespace.clone().unwrap_or_default(), relay.name.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn relay(namespace: &str, name: &str) -> ObjectRef<SMTPRelay> {
        ObjectRef::new(name).within(namespace)
    }

    fn status(problem: &str) -> SMTPRelayStatus {
        let row =
            json!({"host": "one.test", "state": "Suspended", "messages": 2, "suspendedTill": "2026-01-05T09:00:00Z"});
        serde_json::from_value(json!({
            "ready": "1/1",
            "problem": problem,
            "link": {"state": "Closed", "schedule": "day", "changesAt": "2026-01-05T08:00:00Z"},
            "queue": {"messages": 2, "bytes": 100, "hosts": 9, "suspendedHosts": 8},
            "monitor": [row],
            "hostsNotShown": 8,
            "clients": [{"client": "shop/checkout", "kind": "ServiceAccount", "listed": true, "accepted": 1, "refused": 0,
                "lastSeen": "2026-01-05T06:00:00Z"}],
            "clientsNotShown": 2,
        }))
        .unwrap()
    }

    fn json_of(value: impl Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn the_leader_has_all_relays_by_name_and_of_each_its_worst_hosts() {
        let board = Board::default();
        board.lead();
        board.note(&relay("shop", "new"), None);
        board.post(&relay("shop", "mail"), status("<b>held</b>").into(), Some("Europe/Rome"));
        board.note(&relay("shop", "mail"), Some(&status("stored")));
        board.note(&relay("bank", "mail"), Some(&status("stored")));
        let all = json_of(board.relays("2026-01-05T07:00:00Z".parse().unwrap()));
        assert_eq!(
            (&all["leads"], &all["now"], all.get("leader")),
            (&json!(true), &json!("2026-01-05T07:00:00Z"), None)
        );
        let mut row = json!({
            "namespace": "shop",
            "name": "mail",
            "ready": "1/1",
            "problem": "<b>held</b>",
            "link": {"state": "Closed", "schedule": "day", "changesAt": "2026-01-05T08:00:00Z"},
            "timeZone": "Europe/Rome",
            "queue": {"messages": 2, "bytes": 100, "hosts": 9, "suspendedHosts": 8},
        });
        assert_eq!(all["relays"][0]["problem"], "stored", "what is stored stands until more is known");
        assert_eq!((&all["relays"][1], &all["relays"][2]), (&row, &json!({"namespace": "shop", "name": "new"})));

        row["monitor"] = json_of(&status("").monitor);
        row["hostsNotShown"] = json!(8);
        row["clients"] = json_of(&status("").clients);
        row["clientsNotShown"] = json!(2);
        assert_eq!(json_of(board.relay("shop", "mail")), row);
        assert!(board.relay("shop", "none").is_none());

        board.retain(|namespace, _| namespace == "bank");
        assert_eq!(board.relays(Timestamp::UNIX_EPOCH).relays.len(), 1);
    }

    #[test]
    fn one_that_stands_by_says_who_leads_and_knows_nothing_else() {
        let board = Board::default();
        for (identity, leader) in
            [("operator-7f_0011223344556677", Some("operator-7f")), ("", None), ("plain", Some("plain"))]
        {
            board.held_by(identity);
            board.post(&relay("shop", "mail"), status("late").into(), None);
            let all = board.relays(Timestamp::UNIX_EPOCH);
            assert_eq!((all.leads, all.leader.as_deref(), all.relays.len()), (false, leader, 0), "{identity}");
        }
        board.lead();
        board.held_by("other_00");
        board.post(&relay("shop", "mail"), status("now").into(), None);
        assert!(board.relays(Timestamp::UNIX_EPOCH).leads && board.relay("shop", "mail").is_some());
        board.stand_by();
        let all = board.relays(Timestamp::UNIX_EPOCH);
        assert!(!all.leads && all.leader.is_none() && board.relay("shop", "mail").is_none(), "a term leaves nothing");
    }
}
