//! Asks the cluster for what goes into the archive. What cannot be read is told on the first page, and the rest is made.

use http::{Request, header};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, client::Body};
use mailsluice_crds::{GROUP, access::Place, monitor::HostRow};
use mailsluice_ctl::{RelayWord, Said, words::monitor::MonitorSaid};
use serde_json::Value;

use super::{
    archive::File,
    clock::{Reading, http_date},
    logs, resources,
    summary::Facts,
};
use crate::{
    access::{Cluster, Right},
    error::PluginError,
    event,
    log::{self, Process},
    monitor,
    relay::{CONTAINER, Found},
    status,
    words::{self, Answers},
};

/// A pod has so long for an answer.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// The chart's label of the operator.
const OPERATOR: &str = "app.kubernetes.io/name=mailsluice-operator";

/// What was gathered, and what could not be.
struct Gathered<'a> {
    cluster: &'a Cluster,
    found: &'a Found,
    files: Vec<File>,
    unread: Vec<String>,
}

/// Everything: what the first page is drawn from, and the other files.
pub(super) async fn all(cluster: &Cluster, found: &Found, at: Timestamp) -> (Facts, Vec<File>) {
    let mut gathered = Gathered { cluster, found, files: Vec::new(), unread: Vec::new() };
    let status = found.relay.status.clone().unwrap_or_default();
    let mut clocks = Vec::new();
    clocks.extend(gathered.api_clock().await);
    let (answers, pod_clocks) = gathered.monitors().await;
    clocks.extend(pod_clocks);
    let mut versions = vec![("kubectl mailsluice".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    versions.extend(gathered.versions(&answers).await);
    let picture = monitor::picture(found, answers);
    let merged = picture.merged.or_else(|| status::merged(status.clone()));
    let events = gathered.resources().await;
    let rows = merged.as_ref().map(|merged| merged.rows.as_slice()).unwrap_or_default();
    gathered.logs(rows).await;
    let not_running = found.running().1;
    let mut silent = picture.unread;
    silent.retain(|fault| not_running.iter().all(|(pod, _)| *pod != fault.pod));
    let facts = Facts {
        relay: found.name(),
        namespace: cluster.namespace.clone(),
        at,
        description: None,
        status,
        merged,
        not_running,
        unread: gathered.unread,
        silent,
        versions,
        clocks,
        events,
        files: Vec::new(),
    };
    (facts, gathered.files)
}

impl Gathered<'_> {
    /// The API server's clock, by the date of an answer.
    async fn api_clock(&mut self) -> Option<Reading> {
        let asked = Timestamp::now();
        let request = Request::get("/version").body(Body::empty()).ok()?;
        let answer = self.cluster.client.send(request).await.ok()?;
        let answered = Timestamp::now();
        let said = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok()).and_then(http_date)?;
        Some(Reading::new("API server", said, (asked, answered), SignedDuration::from_secs(1)))
    }

    /// The pods' Monitors, and by them the clocks of their nodes.
    async fn monitors(&mut self) -> (Answers, Vec<Reading>) {
        let who = match event::user(self.cluster).await {
            Ok(who) => who,
            Err(error) => return (self.missed("Monitors", &error), Vec::new()),
        };
        let asked = Timestamp::now();
        let answers = words::ask(self.cluster, self.found, &RelayWord::Monitor, &who, LIMIT).await;
        let answered = Timestamp::now();
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => self.missed("Monitors", &error),
        };
        let mut clocks = Vec::new();
        for Said { pod, answer } in &answers.said {
            let pod = pod.as_deref().unwrap_or("relay");
            self.files.push(File::new(format!("monitor/{pod}.json"), format!("{answer:#}\n")));
            if let Ok(MonitorSaid { now, .. }) = serde_json::from_value(answer.clone()) {
                let node = self.node(pod).unwrap_or_default();
                clocks.push(Reading::new(format!("{pod} on {node}"), now, (asked, answered), SignedDuration::ZERO));
            }
        }
        if let Ok(Answers { said, .. }) = words::ask(self.cluster, self.found, &RelayWord::Status, &who, LIMIT).await {
            let file = |Said { pod, answer }: Said<Value>| {
                File::new(format!("status/{}.json", pod.as_deref().unwrap_or("relay")), format!("{answer:#}\n"))
            };
            self.files.extend(said.into_iter().map(file));
        }
        (answers, clocks)
    }

    fn missed(&mut self, what: &str, error: &PluginError) -> Answers {
        self.unread.push(format!("{what}: {error}"));
        Answers::default()
    }

    fn node(&self, pod: &str) -> Option<&str> {
        let pod = self.found.pods.iter().find(|known| known.name_any() == pod)?;
        pod.spec.as_ref()?.node_name.as_deref()
    }

    async fn versions(&mut self, answers: &Answers) -> Vec<(String, String)> {
        let mut versions = Vec::new();
        for pod in &self.found.pods {
            let name = pod.name_any();
            let said = answers.said.iter().find(|said| said.pod.as_ref() == Some(&name));
            let version = said.and_then(|said| said.answer.get("version")).and_then(Value::as_str);
            let image = pod.spec.iter().flat_map(|spec| &spec.containers).find(|one| one.name == CONTAINER);
            let image = image.and_then(|container| container.image.as_deref()).unwrap_or("no image");
            versions.push((format!("relay in {name}"), format!("{}, {image}", version.unwrap_or("no answer"))));
        }
        match self.operator().await {
            Ok(operators) => versions.extend(operators),
            Err(error) => versions.push(("operator".into(), format!("not read: {}", brief(&error, "all namespaces")))),
        }
        let cluster = match self.cluster.client.apiserver_version().await {
            Ok(info) => format!("{} ({})", info.git_version, info.platform),
            Err(error) => crate::access::said(&error),
        };
        versions.push(("Kubernetes".into(), cluster));
        versions
    }

    /// The operators of the cluster, which may be anywhere in it.
    async fn operator(&self) -> Result<Vec<(String, String)>, PluginError> {
        let right = Right { verb: "list", resource: "deployments", group: "apps" };
        let list = self.get(right, &format!("/apis/apps/v1/deployments?labelSelector={OPERATOR}")).await?;
        let text = |item: &Value, field: &str| item.pointer(field).and_then(Value::as_str).unwrap_or("?").to_owned();
        let of = |item: &Value| {
            let version = text(item, "/metadata/labels/app.kubernetes.io~1version");
            let image = text(item, "/spec/template/spec/containers/0/image");
            (format!("operator in {}", text(item, "/metadata/namespace")), format!("{version}, {image}"))
        };
        Ok(list["items"].as_array().into_iter().flatten().map(of).collect())
    }

    /// The resources as files, and the Events as lines.
    async fn resources(&mut self) -> Vec<String> {
        let (relay, namespace) = (self.found.name(), self.cluster.namespace.clone());
        let selector = mailsluice_operator::names::pod_selector_text(&relay);
        let schedule = self.found.relay.spec.schedule_ref.as_ref().map(|reference| reference.name.clone());
        let own = format!("/apis/{GROUP}/{}/namespaces/{namespace}", mailsluice_crds::VERSION);
        let right = |verb, resource, group| Right { verb, resource, group };
        let mut wanted = vec![
            ("smtprelay", right("get", "smtprelays", GROUP), format!("{own}/smtprelays/{relay}")),
            (
                "statefulset",
                right("get", "statefulsets", "apps"),
                format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{relay}"),
            ),
            (
                "pods",
                right("list", "pods", ""),
                format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"),
            ),
        ];
        if let Some(schedule) = &schedule {
            wanted.push(("tcpschedule", right("get", "tcpschedules", GROUP), format!("{own}/tcpschedules/{schedule}")));
        }
        for (name, right, path) in wanted {
            match self.get(right, &path).await {
                Ok(resource) => self.files.push(resources::file(name, resource)),
                Err(error) => self.unread.push(format!("{name}: {}", brief(&error, "this namespace"))),
            }
        }
        if self.found.relay.spec.access.is_some() {
            self.accesses(&Place::new(Some(namespace.clone()), &relay)).await;
        }
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        match self.get(right("list", "events", "events.k8s.io"), &path).await {
            Ok(list) => {
                let events = resources::events(list, &relay, schedule.as_deref());
                let lines = events.iter().map(resources::line).collect();
                self.files.push(resources::file("events", Value::Array(events)));
                lines
            }
            Err(error) => {
                self.unread.push(format!("events: {}", brief(&error, "this namespace")));
                Vec::new()
            }
        }
    }

    /// What asks the relay for access, in whatever namespace.
    async fn accesses(&mut self, relay: &Place) {
        let right = Right { verb: "list", resource: "smtpaccesses", group: GROUP };
        match self.get(right, &format!("/apis/{GROUP}/{}/smtpaccesses", mailsluice_crds::VERSION)).await {
            Ok(list) => self.files.push(resources::file("smtpaccesses", resources::asking(list, relay))),
            Err(error) => self.unread.push(format!("smtpaccesses: {}", brief(&error, "all namespaces"))),
        }
    }

    /// The logs of the pods, and what a process said that ended.
    async fn logs(&mut self, rows: &[HostRow]) {
        for pod in &self.found.pods {
            for process in log::processes(pod) {
                let before = if process == Process::Before { "-before-its-restart" } else { "" };
                let file = format!("logs/{}{before}.log", pod.name_any());
                match log::read(self.cluster, pod, process).await {
                    Ok(log) => {
                        let lines = logs::kept(&log, &logs::changes(rows, &log));
                        self.files.push(File::new(file, lines.into_iter().map(|line| line + "\n").collect::<String>()));
                    }
                    Err(error) => self.unread.push(format!("{file}: {}", brief(&error, "this namespace"))),
                }
            }
        }
    }

    async fn get(&self, right: Right, path: &str) -> Result<Value, PluginError> {
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| PluginError::Api { right, said: error.to_string() })?;
        self.cluster.ask(right, self.cluster.client.request(request)).await
    }
}

/// What is missing, without what to do about it: the reader is not the one who asked.
fn brief(error: &PluginError, place: &str) -> String {
    match error {
        PluginError::Forbidden { right, .. } => format!("you may not {right} in {place}"),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}
