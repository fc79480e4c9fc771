//! A relay is told what to do over a socket that is for its owner alone, and never over a port.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use mailsluice_crds::LogLevel;
use mailsluice_ctl::words::{level::LevelSet, status::StatusSaid};
use mailsluice_tests::{
    ctl::type_at,
    http,
    manifest::Manifest,
    relay::{PATIENCE, Relay, program},
    sink::Sink,
    wait,
};

/// Types `ctl status` as nobody.
fn as_nobody(spool: &Path) -> (bool, String) {
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program())
        .args(["ctl", "status", "--spool"])
        .arg(spool)
        .output()
        .expect("run setpriv");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_socket_is_for_its_owner_and_outlives_a_kill() {
    let sink = Sink::start();
    let mut relay = Relay::start(&Manifest::to(sink.address));
    let spool = relay.folder().join("spool");
    let socket = spool.join("control.sock");
    let mode = || fs::metadata(&socket).expect("the socket").mode() & 0o777;
    assert!(fs::metadata(&socket).expect("the socket").file_type().is_socket());
    assert_eq!(mode(), 0o600);
    for path in ["/status", "/act", "/log"] {
        assert_eq!(http::get(relay.http, path, None).expect("an answer").status, 404, "{path} is on a port");
    }

    relay.kill();
    let nobody = type_at(&spool, &["status"]);
    assert!(!nobody.success && nobody.err.contains("no relay runs"), "the socket that is left answers: {nobody:?}");
    relay.restart();
    let status: StatusSaid = relay.ctl_json(&["status"]);
    assert_eq!((status.relay.as_str(), status.accepts_mail), ("outbound", true));
    assert_eq!(mode(), 0o600);
    relay.terminate();
    assert!(!socket.exists(), "it is left behind");
}

/// Needs root, to be somebody else.
#[test]
fn another_user_is_turned_away_whatever_the_permissions() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let spool = relay.folder().join("spool");
    if fs::metadata(&spool).expect("the spool").uid() != 0 {
        println!("not root: nobody else can be played here");
        return;
    }
    for folder in [relay.folder(), &spool] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("open the folder");
    }
    let (success, said) = as_nobody(&spool);
    assert!(!success && said.contains("is for the relay's own user and root"), "{said}");
    fs::set_permissions(spool.join("control.sock"), fs::Permissions::from_mode(0o666)).expect("open the socket");
    let (success, said) = as_nobody(&spool);
    assert!(!success && said.contains("403"), "{said}");
}

#[test]
fn a_log_level_is_changed_for_a_time_and_till_the_configuration_is_read() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = LogLevel::Major;
    let relay = Relay::start(&manifest);
    let set: LevelSet = relay.ctl_json(&["log", "AllInfo", "--for", "2s", "--by", "alice"]);
    assert_eq!((set.level, set.before, set.until.is_some()), (LogLevel::AllInfo, LogLevel::Major, true));
    assert_eq!(relay.monitor().log_level, LogLevel::AllInfo);
    relay.await_record("who changed it", |record| record.field("by").as_deref() == Some("alice"));
    wait::until_equal(PATIENCE, "the level", LogLevel::Major, || relay.monitor().log_level);

    let _: LevelSet = relay.ctl_json(&["log", "LowLevel", "--host", "One.test"]);
    let status: StatusSaid = relay.ctl_json(&["status"]);
    assert_eq!((status.log_level, status.levels.len()), (LogLevel::Major, 1), "{status:?}");
    let _: LevelSet = relay.ctl_json(&["log", "Problems"]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(relay.monitor().log_level, LogLevel::Problems, "no time was given");
    manifest.relay.limits.connections_per_host = 7;
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    let status: StatusSaid = relay.ctl_json(&["status"]);
    assert_eq!((status.log_level, status.levels.len()), (LogLevel::Major, 0), "{status:?}");
}
