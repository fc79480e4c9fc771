//! A relay's own page: hosts in trouble, and a link that is down.

use std::{path::Path, thread, time::Duration};

use jiff::Timestamp;
use mailsluice_crds::{
    TCPScheduleSpec,
    quantity::Interval,
    relay::{Mx, PrivateAddresses, Route, SecretRef, Smarthost, TlsPolicy},
    schedule::{LinkState, Schedule},
};
use mailsluice_tests::{
    browser::{Browser, Window},
    dialogue::Dialogue,
    dns::{Dns, Trouble},
    mail,
    manifest::{Manifest, SCHEDULE},
    relay::Relay,
    scripted::Scripted,
};

use crate::{WINDOWS, port_25, take};

/// The hosts, each by the address of its exchanger.
const ZONE: &str = "
bluewater.example.   IN MX 10 mx.bluewater.example.
mx.bluewater.example. IN A 127.0.0.2
harbour.example.     IN MX 10 mail.harbour.example.
mail.harbour.example. IN A 127.0.0.3
oldtown.example.     IN MX 10 mx1.oldtown.example.
oldtown.example.     IN MX 20 mx2.oldtown.example.
mx1.oldtown.example. IN A 127.0.0.4
mx2.oldtown.example. IN A 127.0.0.5
vault.example.       IN MX 10 mx.vault.example.
mx.vault.example.    IN A 127.0.0.6
pier.example.        IN MX 10 mx.pier.example.
mx.pier.example.     IN A 127.0.0.7
smtp.provider.example. IN A 127.0.0.8
";

/// How long the queue is watched, with mail that comes and goes.
const WAVES: u32 = 16;
const WAVE: Duration = Duration::from_secs(5);

/// Hosts that fail in different ways, and one that takes its mail slowly.
pub(crate) fn trouble(folder: &Path) {
    let slow = |line: &str, at: &str, wait: u64| {
        if line.starts_with(at) {
            thread::sleep(Duration::from_millis(wait));
        }
    };
    let _hosts = [
        Scripted::start_at(port_25(2), move |line| {
            slow(line, "RCPT", 600_000);
            line.is_empty().then(|| "220 mx.bluewater.example ESMTP".into())
        }),
        Scripted::start_at(port_25(3), |line| {
            line.starts_with("RCPT").then(|| "451 4.7.1 Greylisted, please try again in 300 seconds".into())
        }),
        Scripted::start_at(port_25(6), |line| line.is_empty().then(|| "220 mx.vault.example ESMTP".into())),
        Scripted::start_at(port_25(7), move |line| {
            slow(line, ".", 700);
            line.is_empty().then(|| "220 mx.pier.example ESMTP".into())
        }),
    ];
    let dns = Dns::start(ZONE);
    dns.trouble("lighthouse.example", Some(Trouble::ServFail));
    let mut manifest = scheduled(Manifest::by_mx(), LinkState::Open);
    let mx = Some(Mx { private_addresses: PrivateAddresses::Allow });
    let vault = Route { domains: vec!["vault.example".into()], mx, tls: Some(TlsPolicy::Required), ..Route::default() };
    let credentials = Some(SecretRef { secret_name: "provider-login".into() });
    let provider = Smarthost { credentials, ..Smarthost::new("smtp.provider.example", 587) };
    let provider = Route {
        domains: vec!["customers.example".into()],
        smarthost: Some(provider),
        tls: Some(TlsPolicy::Verified),
        ..Route::default()
    };
    manifest.relay.routes.splice(0..0, [vault, provider]);
    manifest.relay.retry.first = Interval::from_secs(300);
    manifest.relay.retry.longest = Interval::from_secs(14_400);
    manifest.relay.limits.connections_per_host = 2;
    let relay = Relay::start_with(&manifest, &["--resolver", &dns.address.to_string()]);
    let mut browsers = WINDOWS.map(|(name, window)| (name, open(&relay, window)));
    let mut client = Dialogue::open(relay.smtp);
    let mut send = |host: &str, count: u32| {
        for number in 0..count {
            client.message("shop@example.org", &[&format!("customer-{number}@{host}")], &mail::text("Your order"));
        }
    };
    for (host, count) in [
        ("oldtown.example", 14),
        ("harbour.example", 3),
        ("lighthouse.example", 6),
        ("vault.example", 2),
        ("customers.example", 41),
        ("bluewater.example", 5),
    ] {
        send(host, count);
        thread::sleep(WAVE / 2);
    }
    for wave in 0..WAVES {
        if wave % 5 == 0 {
            send("pier.example", 60 - wave * 2);
        }
        thread::sleep(WAVE);
    }
    for (name, browser) in &mut browsers {
        browser.evaluate(
            "[...document.querySelectorAll('button.host')].find((host) => host.innerText === 'oldtown.example').click()",
        );
        browser.await_text(".details", |text| text.matches("To do").count() == 2);
        take(browser, &folder.join(format!("monitor-{name}.png")));
    }
}

/// A relay that may send nothing now.
pub(crate) fn link_down(folder: &Path) {
    let relay = Relay::start(&scheduled(Manifest::by_mx(), LinkState::Closed));
    let mut client = Dialogue::open(relay.smtp);
    let mut browser = open(&relay, Window::DESKTOP);
    for (host, count) in [("bluewater.example", 12), ("harbour.example", 4), ("pier.example", 1)] {
        for number in 0..count {
            client.message("shop@example.org", &[&format!("customer-{number}@{host}")], &mail::text("Your order"));
            thread::sleep(Duration::from_millis(700));
        }
    }
    browser.await_count("#hosts tbody", 3);
    thread::sleep(Duration::from_secs(2));
    take(&mut browser, &folder.join("monitor-link-down.png"));
}

fn open(relay: &Relay, window: Window) -> Browser {
    let mut browser = Browser::start(window);
    browser.open(&format!("http://{}/", relay.http));
    browser.await_text("#live", |text| text == "Live");
    browser
}

/// A schedule with all that one can have, in a zone in which it says that now.
fn scheduled(mut manifest: Manifest, link: LinkState) -> Manifest {
    let now = Timestamp::now();
    let closed = now + jiff::SignedDuration::from_hours(3 * 24);
    let spec = |zone: &str| -> TCPScheduleSpec {
        serde_json::from_value(serde_json::json!({
            "timeZone": zone,
            "windows": [
                {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "08:00", "to": "19:30", "link": "Open"},
                {"days": ["Sat", "Sun"], "from": "09:00", "to": "13:00", "link": "Open"},
                {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "22:00", "to": "02:00", "link": "Open", "pause": "30m"},
            ],
            "exceptions": [{"dates": [closed.in_tz(zone).expect("a zone").date().to_string()], "link": "Closed"}],
        }))
        .expect("a schedule")
    };
    let zones = ["Europe/Rome", "Asia/Kolkata", "Australia/Sydney", "America/New_York", "America/Los_Angeles"];
    let wanted = |zone: &&&str| {
        let decision = Schedule::new(SCHEDULE, &spec(zone)).expect("a schedule").decide(now);
        decision.link == link && decision.pause.is_none()
    };
    let zone = zones.iter().find(wanted).unwrap_or_else(|| panic!("a zone in which the link is {link:?} now"));
    manifest = manifest.scheduled(link, Vec::new());
    manifest.schedule = Some(spec(zone));
    manifest
}
