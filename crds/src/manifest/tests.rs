//! What is promised of manifests that are read without an API server.

use super::{
    Refusal, Resources, Source,
    admission::{Definitions, Violation},
    load, load_by,
};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    cases::{self, Case},
    quantity::Interval,
    schedule::LinkState,
    yaml,
};

fn load_one(text: &str) -> Result<Resources, Vec<Refusal>> {
    load(&[Source { name: "relay.yaml", text }])
}

fn shown(refusals: &[Refusal]) -> Vec<String> {
    refusals.iter().map(Refusal::to_string).collect()
}

/// What is refused when a manifest is loaded, or changed from the one before it.
fn refusals(case: &Case, definitions: &Definitions) -> Vec<Refusal> {
    let load = |text| load_by(definitions, &[Source { name: "case.yaml", text }]).err().unwrap_or_default();
    let Some(before) = &case.before else { return load(&case.manifest) };
    assert_eq!(load(before), [], "{}: what was before is refused itself", case.name);
    let definition = definitions.all().into_iter().find(|definition| definition.kind == case.kind).unwrap();
    let object = |text: &str| yaml::plain(&yaml::parse(text).0[0]);
    let violations = definition.violations(&object(&case.manifest), Some(&object(before)));
    let refusal = |found: Violation| Refusal { file: String::new(), line: 0, path: found.path, problem: found.problem };
    violations.into_iter().map(refusal).collect()
}

#[test]
fn manifests_are_accepted_and_refused_as_the_table_says() {
    let cases = cases::all().unwrap();
    assert!(cases.len() > 150, "only {} cases", cases.len());
    let definitions = Definitions::new().unwrap();
    let failures: Vec<String> = cases.iter().filter_map(|case| difference(case, &definitions)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is otherwise than the table says.
fn difference(case: &Case, definitions: &Definitions) -> Option<String> {
    let found = refusals(case, definitions);
    let wrong = match &case.refused {
        None => (!found.is_empty()).then_some("is refused".to_owned()),
        Some(refused) => {
            let said = |found: &Refusal| found.path == refused.path && found.problem.contains(&refused.because);
            let expected = found.iter().any(said) && found.len() == refused.count;
            (!expected).then(|| format!("is not refused with {} at {} alone", refused.because, refused.path))
        }
    }?;
    Some(format!("{}: {}: {wrong}: {:#?}\n{}", case.kind, case.name, shown(&found), case.manifest))
}

#[test]
fn everything_that_is_wrong_is_reported_with_file_line_path_and_what_to_write() {
    let text = r#"apiVersion: mailsluice.dev/v1alpha1
kind: TCPSchedule
metadata:
  name: office-hours
spec:
  timezone: Europe/Rome
  windows:
  - days: [Mon, Tues]
    from: "08:00"
    to: "08:00"
    link: Open
  - {from: "9:00", link: Closed,
     pause: 5m}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata:
  name: outbound
spec:
  replicas: two
  clients:
  - networks:
    - 192.0.2.0/24
    - 198.51.100.7/24
  - networks: [0.0.0.0/0]
"#;
    assert_eq!(
        shown(&load_one(text).unwrap_err()),
        [
            r#"relay.yaml:6: spec.timezone: unknown field "timezone": did you mean "timeZone"?"#,
            r#"relay.yaml:8: spec.windows[0].days[1]: "Tues" is not known: did you mean "Tue"?"#,
            "relay.yaml:8: spec.windows[0]: `from` and `to` are the same time: for the whole day leave both out or write from \
             \"00:00\" to \"24:00\"",
            r#"relay.yaml:12: spec.windows[1].from: write hours and minutes in quotes, such as "08:00" or "19:30"; the end of the day is "24:00""#,
            "relay.yaml:13: spec.windows[1].pause: `pause` belongs to an open link: leave it out, or write link: Open",
            r#"relay.yaml:20: spec.replicas: the text "two" stands where a whole number must: write a whole number"#,
            "relay.yaml:24: spec.clients[0].networks[1]: bits are set beyond the prefix length: write the first address of the \
             network, such as 192.0.2.0/24, or, for one address alone, 192.0.2.7/32 or 2001:db8::7/128",
            "relay.yaml:25: spec.clients[1].networks: an open relay, which anybody may use to send anything: list the networks of your \
             own clients, or say in `senders` which addresses may be used, without <>",
        ]
    );
}

#[test]
fn resources_come_from_several_files_and_documents_with_their_defaults() {
    let schedules = "---\n# nothing\n---\napiVersion: mailsluice.dev/v1alpha1\nkind: TCPSchedule\nmetadata: {name: a}\n\
                     spec: {windows: [{link: Open, pause: 90m}]}\n---\n";
    let relay = r#"{"apiVersion": "mailsluice.dev/v1alpha1", "kind": "SMTPRelay", "metadata": {"name": "b", "namespace": "mail"},
                    "spec": {"scheduleRef": {"name": "a"}}, "status": {"replicas": 7}}"#;
    let resources =
        load(&[Source { name: "one.yaml", text: schedules }, Source { name: "two.json", text: relay }]).unwrap();
    let ([relay], [schedule]) = (resources.relays.as_slice(), resources.schedules.as_slice()) else {
        panic!("{resources:?}")
    };
    assert_eq!((relay.metadata.name.as_deref(), relay.metadata.namespace.as_deref()), (Some("b"), Some("mail")));
    assert_eq!((relay.spec.listeners[0].port, &relay.status), (25, &None));
    assert_eq!(schedule.spec.windows[0].pause, Some(Interval::from_secs(90 * 60)));
    assert_eq!((schedule.spec.default, schedule.spec.time_zone.as_str()), (LinkState::Closed, "UTC"));
}

#[test]
fn a_resource_that_is_declared_twice_is_refused_with_both_places() {
    let schedule = "apiVersion: mailsluice.dev/v1alpha1\nkind: TCPSchedule\nmetadata: {name: a}\nspec: {}\n";
    let other = schedule.replace("{name: a}", "{name: a, namespace: other}");
    let relay = schedule.replace("TCPSchedule", "SMTPRelay");
    let sources = [
        Source { name: "one.yaml", text: schedule },
        Source { name: "two.yaml", text: &other },
        Source { name: "three.yaml", text: &relay },
    ];
    assert!(load(&sources).is_ok(), "another namespace and another kind are other resources");
    let again = Source { name: "again.yaml", text: schedule };
    assert_eq!(
        shown(&load(&[sources[0], sources[2], again]).unwrap_err()),
        [
            "again.yaml:1: metadata.name: TCPSchedule a is declared at one.yaml:1 already: give it another name, or take one out"
        ]
    );
}

#[test]
fn what_is_no_manifest_of_ours_is_refused_with_what_belongs_here() {
    for (text, refusal) in [
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
            "relay.yaml:1: apiVersion: Deployment of apps/v1 is none of Mailsluice's resources: only SMTPRelay, TCPSchedule and SMTPAccess \
             of mailsluice.dev/v1alpha1 are read here, each in a document of its own",
        ),
        (
            "# a list, as kubectl prints it\napiVersion: v1\nkind: List\nitems: []\n",
            "relay.yaml:2: apiVersion: List of v1 is none of Mailsluice's resources: only SMTPRelay, TCPSchedule and SMTPAccess of \
             mailsluice.dev/v1alpha1 are read here, each in a document of its own",
        ),
        ("spec: {}\n", "relay.yaml:1: apiVersion: write apiVersion: mailsluice.dev/v1alpha1"),
        (
            "apiVersion: mailsluice.dev/v1alpha1\nmetadata: {name: a}\n",
            "relay.yaml:1: kind: mailsluice.dev has no kind \"\": write SMTPRelay, TCPSchedule or SMTPAccess",
        ),
        ("\n- a\n- b\n", "relay.yaml:2: this is no manifest: write a map with apiVersion, kind, metadata and spec"),
        ("a: [1\n", "relay.yaml:1: this is no YAML: "),
    ] {
        let refusals = shown(&load_one(text).unwrap_err());
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert!(refusals[0].starts_with(refusal), "{refusals:?}");
    }
}

#[test]
fn a_file_that_breaks_off_reports_what_came_before_it_too() {
    let text = "apiVersion: mailsluice.dev/v1alpha1\nkind: TCPSchedule\nmetadata: {name: a}\nspec: {log: Verbose}\n---\na: [1\n";
    let refusals = load_one(text).unwrap_err();
    assert_eq!(refusals.iter().map(|refusal| refusal.line).collect::<Vec<_>>(), [4, 6], "{refusals:?}");
}

#[test]
fn what_is_larger_than_its_bounds_is_refused_without_being_asked_about() {
    let route = "  - {domains: ['*.example.com'], mx: {}}\n";
    let head = "apiVersion: mailsluice.dev/v1alpha1\nkind: SMTPRelay\nmetadata: {name: a}\nspec:\n  routes:\n";
    let refusals = load_one(&format!("{head}{}", route.repeat(1_000))).unwrap_err();
    assert_eq!(shown(&refusals), ["relay.yaml:6: spec.routes: 1000 entries are too many: write at most 16"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// An object that the API server admits and the operator cannot read would stop the operator for all others.
    #[test]
    fn whatever_the_rules_admit_the_types_can_hold(
        date in "(19|20|29|99|00)[0-9]{2}-[01][0-9]-[0-3][0-9]",
        time in "(T| )?[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,10})?)?(Z|z|[+-][0-2][0-9]:[0-9]{2})?",
        interval in "[0-9]{1,6}[smhdw]?",
        size in "[0-9]{1,13}([KMGTkmg]i?)?",
        clock in "[0-2]?[0-9]:[0-6][0-9]",
    ) {
        let schedule = json!({
            "windows": [{"to": clock, "link": "Open", "pause": interval}], "exceptions": [{"dates": [date], "link": "Open"}]
        });
        let relay = json!({
            "log": {"hosts": [{"host": "a.example", "level": "Major", "until": format!("{date}{time}")}]},
            "retry": {"first": "1s", "longest": "1s", "expireAfter": interval}, "storage": {"size": size},
            "limits": {"messageSize": size},
        });
        thread_local!(static DEFINITIONS: Definitions = Definitions::new().unwrap());
        for (kind, spec) in [("TCPSchedule", schedule), ("SMTPRelay", relay)] {
            let text = json!({
                "apiVersion": "mailsluice.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec
            });
            let loaded = DEFINITIONS.with(|known| load_by(known, &[Source { name: "a", text: &text.to_string() }]));
            let without_a_path: Vec<_> =
                loaded.err().into_iter().flatten().filter(|refusal| refusal.path.is_empty()).collect();
            prop_assert!(without_a_path.is_empty(), "{without_a_path:?}: {text}");
        }
    }
}
