//! A relay's limits toward hosts hold for all its pods together, while they come and go too.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use mailsluice_crds::{
    monitor::Reason,
    shares::{self, Division, Shares},
};
use mailsluice_tests::{
    dialogue::Dialogue,
    family::{self, Family},
    load::Load,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    wait,
};

/// Connections to the host that all pods may have.
const LIMIT: u32 = 6;
/// How long the host takes for a message.
const SLOW: Duration = Duration::from_millis(40);
/// Messages at each pod.
const MESSAGES: usize = 400;

fn among(among: u32) -> Division {
    Division { among, turn: 0 }
}

/// Publishes a division as the operator does, each step to one pod after the other, in the given order.
fn change(pods: &[&Relay], shares: &mut Shares, wanted: u32) {
    let mut kept = false;
    while let Some(next) = shares.towards(among(wanted), kept, 0) {
        *shares = next;
        for (place, pod) in pods.iter().enumerate() {
            family::divide(pod, shares);
            thread::sleep(Duration::from_millis(150 * place as u64));
        }
        for pod in pods {
            wait::until_some(PATIENCE, "the pod keeps to it", || {
                pod.monitor().shares.filter(|version| *version >= shares.version)
            });
        }
        kept = true;
    }
}

#[test]
fn connections_of_all_pods_are_never_more_than_the_limit_while_they_are_divided_anew() {
    let (open, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (opened, seen) = (open.clone(), most.clone());
    let host = Scripted::start(move |line| {
        match line {
            "" => {
                let now = opened.fetch_add(1, Ordering::SeqCst) + 1;
                seen.fetch_max(now, Ordering::SeqCst);
            }
            "." => thread::sleep(SLOW),
            "QUIT" => {
                opened.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        None
    });
    let mut manifest = Manifest::to(host.address);
    manifest.relay.limits.connections_per_host = LIMIT;
    let (family, mut shares) = (Family::new(), Shares::first(among(1), 1));
    let start = |number| {
        let pod = family.start_divided(number, &manifest, &shares);
        let load = Load::start(pod.smtp, 4, &["a@one.test"]);
        wait::until_some(PATIENCE, "the pod has mail", || (load.answered() >= MESSAGES).then_some(()));
        (pod, load.stop().len())
    };
    let ((first, one), (second, two), (mut third, three)) = (start(0), start(1), start(2));
    let row = wait::until_some(PATIENCE, "the second has its mail", || second.row(&host.address.to_string()));
    assert_eq!(row.reason, Some(Reason::ConnectionsLimited), "{row:?}");
    assert!(row.problem.unwrap_or_default().contains("this pod has no part of the relay's limits now"));

    change(&[&first, &second, &third], &mut shares, 3);
    change(&[&third, &first, &second], &mut shares, 2);
    change(&[&second, &third, &first], &mut shares, 3);
    assert!(host.moments("MAIL").len() < one + two + three, "all this happens while there is mail to send");

    // Nothing is published when it starts again: it goes on with what it had.
    fs::remove_file(third.folder().join(shares::FILE)).expect("remove what is published");
    let before = open.load(Ordering::SeqCst);
    third.terminate();
    third.relaunch();
    third.await_ready();
    wait::until_equal(PATIENCE, "what it keeps to", Some(shares.version), || third.monitor().shares);
    for pod in [&first, &second, &third] {
        pod.await_empty_for(PATIENCE * 3);
    }
    let most = most.load(Ordering::SeqCst);
    assert_eq!(most, i64::from(LIMIT), "connections at a time, and {before} before the restart");
}

#[test]
fn messages_a_minute_of_all_pods_are_the_limit() {
    let host = Scripted::start(|_| None);
    let mut manifest = Manifest::to(host.address);
    manifest.relay.limits.messages_per_host_per_minute = Some(7);
    let (family, shares) = (Family::new(), Shares::first(among(3), 1));
    let pods: Vec<Relay> = (0..3).map(|number| family.start_divided(number, &manifest, &shares)).collect();
    for (pod, part) in pods.iter().zip([3, 2, 2]) {
        for name in ["one", "two", "three", "four"] {
            Dialogue::open(pod.smtp).message("shop@example.org", &["a@one.test"], &mail::text(name));
        }
        let row = wait::until_some(PATIENCE, "the minute is full", || {
            pod.row(&host.address.to_string()).filter(|row| row.reason == Some(Reason::RateLimited))
        });
        let problem = row.problem.unwrap_or_default();
        let said = format!("this pod's part of messagesPerHostPerMinute is {part}, and {part} were sent");
        assert!(problem.contains(&said), "{problem}");
    }
    assert_eq!(host.moments(".").len(), 7);
    assert_eq!(pods[0].monitor().shares, None, "the process before may have sent as many in this minute");
}
