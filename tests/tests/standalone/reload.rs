//! A change of the manifests is obeyed without a restart; one that cannot be obeyed changes nothing, and says so.

use std::{fs, os::unix::fs::symlink, path::Path};

use mailsluice_crds::{LogLevel, monitor::ProblemReason, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};
use tempfile::TempDir;

#[test]
fn a_valid_change_is_obeyed_and_no_session_is_dropped() {
    let (first, second) = (Sink::start(), Sink::start());
    let relay = Relay::start(&Manifest::to(first.address));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org> BODY=8BITMIME", "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: under way\r\n");

    relay.rewrite(&Manifest::to(second.address));
    relay.await_reloads(1);
    client.send(b"\r\nthe rest\r\n.\r\n");
    assert!(client.reply().starts_with("250"), "the message under way is taken");
    client.message("shop@example.org", &["a@one.test"], &mail::text("after"));
    let mut subjects: Vec<String> = second.await_messages(2, PATIENCE).iter().map(|m| m.subject()).collect();
    subjects.sort();
    assert_eq!(subjects, ["after", "under way"]);
    assert_eq!(first.count(), 0, "the host before the change");
    assert!(relay.metric("mailsluice_config_reloads_total{result=\"applied\"}") >= 1.0);
}

#[test]
fn a_change_that_cannot_be_obeyed_keeps_the_configuration_before_it_and_says_so() {
    let sink = Sink::start();
    let manifest = Manifest::to(sink.address);
    let relay = Relay::start(&manifest);
    let invalid = [
        ("an unknown field", manifest.text(relay.smtp.port()).replace("\"listeners\"", "\"listenres\"")),
        ("no YAML", "{ this is: [no YAML".to_owned()),
        ("nothing", String::new()),
    ];
    for (count, (what, text)) in (1_u32..).zip(invalid) {
        relay.rewrite_text(&text);
        wait::until_equal(PATIENCE, &format!("refusals after {what}"), f64::from(count), || {
            relay.metric("mailsluice_config_reloads_total{result=\"refused\"}")
        });
        let problem = relay.monitor().problems.into_iter().find(|p| p.reason == ProblemReason::ConfigurationInvalid);
        let problem = problem.unwrap_or_else(|| panic!("{what}: the Monitor does not say it"));
        assert!(problem.message.contains("stays in force"), "{what}: {}", problem.message);
        assert!((relay.metric("mailsluice_config_invalid") - 1.0).abs() < f64::EPSILON, "{what}");
        let subject = format!("after {what}");
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text(&subject));
        let arrived = sink.await_messages(count as usize, PATIENCE);
        assert_eq!(arrived.last().map(|message| message.subject()), Some(subject), "mail flows as before");
    }
    let logged = relay.await_record("the refusal", |record| record.msg.contains("listenres"));
    assert_eq!(logged.level, LogLevel::Failures, "{logged:?}");
    assert!(logged.msg.contains("relay.yaml"), "it names the file: {}", logged.msg);

    relay.rewrite(&manifest);
    wait::until_equal(PATIENCE, "problems once it is right again", 0, || relay.monitor().problems.len());
    assert!(relay.metric("mailsluice_config_invalid").abs() < f64::EPSILON);
}

#[test]
fn a_mounted_configmap_that_the_kubelet_swaps_is_read_again() {
    let sink = Sink::start();
    let closed = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
    let folder = TempDir::new().expect("a temporary folder");
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).expect("a mount point");
    let port = mailsluice_tests::process::free_port();
    publish(&mount, "..1", &closed.text(port));
    symlink("..data/relay.yaml", mount.join("relay.yaml")).expect("the file's link");
    let mut relay = Relay::start_on(folder, &mount.join("relay.yaml"), &closed, &[]);
    relay.smtp.set_port(port);

    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("held"));
    publish(&mount, "..2", &closed.clone().scheduled(LinkState::Open, Vec::new()).text(port));
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "held");
    relay.await_reloads(1);
}

/// Writes a ConfigMap's content as the kubelet does: into a new folder, whose link `..data` is then put in place.
fn publish(mount: &Path, version: &str, manifests: &str) {
    let folder = mount.join(version);
    fs::create_dir(&folder).expect("a folder for the version");
    fs::write(folder.join("relay.yaml"), manifests).expect("write the manifests");
    symlink(version, mount.join("..data_tmp")).expect("the new link");
    let before = fs::read_link(mount.join("..data")).ok();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("put it in place");
    if let Some(before) = before {
        fs::remove_dir_all(mount.join(before)).expect("remove the version before");
    }
}
