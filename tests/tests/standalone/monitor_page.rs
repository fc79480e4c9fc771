//! The Monitor page, in a real browser: it says what the Monitor says, stays so, and takes no word of a host's for its own.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{catalogue::topics, monitor::HostState, schedule::LinkState};
use mailsluice_tests::{
    browser::{Browser, Window},
    dialogue::Dialogue,
    http, mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

/// What a host says that would like to be part of the page.
const HOSTILE: &str = "<script>hacked = 1</script><img src=x onerror=\"hacked = 1\"><b>&lt;";

fn open(relay: &Relay, window: Window) -> Browser {
    let mut browser = Browser::start(window);
    assert_eq!(browser.open(&format!("http://{}/", relay.http)), 200);
    browser.await_text("#live", |text| text == "Live");
    browser
}

/// The page was all by itself: no fault, nothing refused by its policy, and nobody asked but the relay.
fn assert_well(browser: &mut Browser, relay: &Relay) {
    assert_eq!(browser.faults(), Vec::<String>::new());
    let own = format!("http://{}/", relay.http);
    let others: Vec<String> = browser.asked().into_iter().filter(|url| !url.starts_with(&own)).collect();
    assert_eq!(others, Vec::<String>::new());
}

/// `1:02:03` or `in 1:02:03`, in seconds.
fn seconds(countdown: &str) -> u64 {
    let clock = countdown.strip_prefix("in ").unwrap_or(countdown);
    clock
        .split(':')
        .fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap_or_else(|_| panic!("{countdown} counts")))
}

#[test]
fn a_host_that_the_schedule_holds_says_why_and_counts_down_and_goes() {
    let sink = Sink::start();
    let opens = Timestamp::now().round(jiff::Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    let closed = Manifest::to(sink.address).opening_at(opens);
    let relay = Relay::start(&closed);
    let mut browser = open(&relay, Window::DESKTOP);
    browser.await_text("#hosts-note", |text| text == "No mail waits.");
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("held"));

    let shown = browser.await_text("#hosts .sentence", |_| true);
    let row = relay.row(&sink.address.to_string()).expect("a row");
    assert_eq!(Some(&shown), row.problem.as_ref(), "the same sentence as everywhere");
    let opens_at = opens.in_tz("Europe/Rome").expect("a zone").strftime("%a %H:%M").to_string();
    assert_eq!(
        browser.text("#hosts td.till .moment"),
        Some(opens_at.clone()),
        "in the schedule's zone, not the browser's"
    );
    assert_eq!(browser.text("#hosts .state").as_deref(), Some("Suspended"));
    assert_eq!(browser.count("#hosts .state .sign-clock"), 1, "the clock sign");
    assert_eq!(browser.text("#hosts .reason").as_deref(), Some("TcpScheduleClosed"));
    assert_eq!(browser.text("#link-state").as_deref(), Some("TCP/IP link is down"));
    let said = browser.text("#link-said").unwrap_or_default();
    assert!(said.ends_with(&format!("it opens {opens_at}")), "{said}");

    let till = |browser: &mut Browser| seconds(&browser.text("#hosts td.till .till").expect("a countdown"));
    let left = || u64::try_from(opens.duration_since(Timestamp::now()).as_secs()).expect("it is ahead");
    wait::until_some(PATIENCE, "the countdown is right", || {
        let (shown, left) = (till(&mut browser), left());
        (shown.abs_diff(left) <= 2).then_some(())
    });
    let (begin, first) = (Instant::now(), till(&mut browser));
    let later = seconds(&browser.await_text("#hosts td.till .till", |text| seconds(text) + 2 <= first));
    let passed = begin.elapsed().as_secs();
    assert!((passed.saturating_sub(2)..=passed + 2).contains(&(first - later)), "{first} to {later} in {passed} s");

    assert_eq!(browser.count("#schedule svg.week line.present"), 1, "the present moment");
    assert_eq!(browser.count("#schedule svg.week .day"), 7);
    assert!(browser.count("#schedule .stretch.open") >= 7 && browser.count("#schedule .stretch.closed") >= 7);
    assert_eq!(browser.evaluate("document.title"), "(1) outbound – SMTP Monitor");

    relay.rewrite(&closed.scheduled(LinkState::Open, Vec::new()));
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "held");
    browser.await_text("#link-state", |text| text == "TCP/IP link is open");
    browser.await_text("#hosts-note", |text| text == "No mail waits.");
    browser.await_text("#say", |text| text == "The TCP/IP link is open.");
    browser.await_text("#link-said", |text| text.contains("allows connections"));
    let label = browser.evaluate("document.querySelector('.history').getAttribute('aria-label')");
    assert!(label.as_str().is_some_and(|label| label.contains("0 now, at most 1")), "the queue over time: {label}");
    assert_well(&mut browser, &relay);
}

#[test]
fn what_a_host_says_stays_text_and_is_explained() {
    let refuses = Scripted::start(|line| line.starts_with("MAIL").then(|| format!("451 4.7.1 {HOSTILE}")));
    let hangs = Scripted::start(|line| {
        if line.starts_with("RCPT") {
            thread::sleep(Duration::from_secs(120));
        }
        line.starts_with("MAIL").then(|| format!("250 2.1.0 {HOSTILE}"))
    });
    let mut manifest = Manifest::to(refuses.address).route(&["hangs.test"], hangs.address);
    manifest.relay.retry.first = mailsluice_crds::quantity::Interval::from_secs(600);
    manifest.relay.retry.longest = mailsluice_crds::quantity::Interval::from_secs(600);
    let relay = Relay::start(&manifest);
    let mut browser = open(&relay, Window::DESKTOP);
    for to in ["a@refuses.test", "a@hangs.test"] {
        Dialogue::open(relay.smtp).message(
            "shop@example.org",
            &[to],
            &mail::text("to a host that says strange things"),
        );
    }
    let host = refuses.address.to_string();
    let row = wait::until_some(PATIENCE, "the host is suspended", || {
        relay.row(&host).filter(|row| row.state == HostState::Suspended)
    });
    browser.await_text("#hosts tr[data-state=Suspended] .sentence", |text| Some(text) == row.problem.as_deref());
    browser.click("#hosts tr[data-state=Suspended] button.host");
    let error = row.last_error.expect("a last error");
    let quoted = browser.await_text("#hosts blockquote", |_| true);
    assert_eq!(quoted, error.text);
    assert!(quoted.contains(HOSTILE), "{quoted}");
    let details = browser.await_text("#hosts .details", |text| text.matches("To do").count() == 2);
    for part in [error.code.name().as_ref(), &format!("At {:?} with {host}", error.stage)] {
        assert!(details.contains(part), "{part} is in {details}");
    }
    for name in [row.reason.expect("a reason").name().to_owned(), error.code.name().into_owned()] {
        let explained = topics(&[name]).expect("the catalogue has it")[0].explain();
        for text in [explained.meaning, explained.advice] {
            assert!(details.contains(&text), "{text} is in {details}");
        }
    }

    // The one that hangs is seen to do so, in what stage and for how long.
    let connection = browser.await_text("#connections tbody tr", |text| text.contains("RcptTo"));
    assert!(connection.contains(&hangs.address.to_string()) && connection.contains(HOSTILE), "{connection}");
    browser.await_text("#connections tbody td.number", |text| seconds(text) >= 3);
    let octets = relay.row(&hangs.address.to_string()).and_then(|row| row.connections.first()?.octets).expect("counts");
    let counts = format!("{} out, {} in", octets.sent, octets.received);
    browser.await_text("#connections td[data-label=Octets]", |text| text == counts);

    assert_eq!(browser.evaluate("typeof hacked"), "undefined");
    assert_eq!(browser.count("main script, main img, main bdi *"), 0);
    let refused = browser.evaluate(
        "(() => { try { document.body.insertAdjacentHTML('beforeend', '<b>'); return 'taken'; } catch (error) { return error.name; } })()",
    );
    assert_eq!(refused, "TypeError", "a script that made markup of text would fail");
    let others: Vec<String> = browser.faults().into_iter().filter(|fault| !fault.contains("TrustedHTML")).collect();
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn what_is_refused_of_a_client_is_told_with_what_to_do_and_stays_text() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients[0].senders = vec!["@example.org".into()];
    let relay = Relay::start(&manifest);
    let mut browser = open(&relay, Window::DESKTOP);
    browser.await_text("#clients", |text| text == "None has come.");
    let hostile = "\"<script>hacked=1</script><b>\"@evil.test";
    let mut client = Dialogue::open(relay.smtp);
    client.message("shop@example.org", &["a@one.test"], &mail::text("taken"));
    client.expect(&format!("MAIL FROM:<{hostile}>"), "250");
    client.expect("RCPT TO:<a@one.test>", "550 5.7.1");
    let shown = browser.await_text("#clients tbody tr", |text| text.contains("550 5.7.1"));
    for part in
        ["127.0.0.1", "address", "at RcptTo", hostile, "is not a sender that this client may use", "to <a@one.test>"]
    {
        assert!(shown.contains(part), "{part} is in {shown}");
    }
    assert_eq!(browser.text("#clients td[data-label=Taken]").as_deref(), Some("1"));
    assert_eq!(browser.text("#clients td[data-label=Refused]").as_deref(), Some("1"));
    assert!(shown.contains("To do: Allow the address among the senders of its entry"), "{shown}");
    assert_eq!(browser.evaluate("typeof hacked"), "undefined");
    assert_eq!(browser.count("main script, main bdi *"), 0);
    assert_eq!(browser.audit(), Vec::<String>::new());
    assert_well(&mut browser, &relay);
    let mut browser = open(&relay, Window::PHONE.dark());
    browser.await_text("#clients tbody tr", |text| text.contains("550 5.7.1"));
    assert_eq!(browser.audit(), Vec::<String>::new());
}

#[test]
fn the_page_says_when_it_is_not_live_and_follows_a_relay_that_is_back() {
    let sink = Sink::start();
    let mut relay = Relay::start(&Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new()));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("held"));
    let mut browser = open(&relay, Window::DESKTOP);
    browser.await_text("#hosts .reason", |text| text == "TcpScheduleClosed");
    assert_eq!(browser.text("#hosts .state").as_deref(), Some("Held"), "it never opens");

    relay.kill();
    browser.await_text("#live", |text| text == "Not live");
    let notice = browser.await_text("#stale", |text| text.contains("the relay cannot be reached"));
    assert!(notice.contains("old at least"), "{notice}");
    assert_eq!(browser.text("#say").as_deref(), Some("The page is not live any more."));
    assert_eq!(browser.count("#hosts .reason"), 1, "what was known is still shown");

    relay.restart();
    browser.await_text("#live", |text| text == "Live");
    browser.await_text("#say", |text| text == "The page is live again.");
    assert_eq!(browser.count("#stale[hidden]"), 1);
    Dialogue::open(relay.smtp).message("shop@example.org", &["b@one.test"], &mail::text("held"));
    browser.await_text("#hosts td.number", |text| text == "2");
}

#[test]
fn among_many_hosts_each_is_found_by_filter_and_order_with_the_keyboard() {
    let relay = Relay::start(&Manifest::by_mx().scheduled(LinkState::Closed, Vec::new()));
    let mut client = Dialogue::open(relay.smtp);
    let to: Vec<String> = (0..80).map(|number| format!("a@host-{number:02}.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    client.message("shop@example.org", &to, &mail::text("to many"));
    client.message("shop@example.org", &["a@host-42.test"], &mail::text("to one of them"));
    wait::until_equal(PATIENCE, "hosts", 80, || relay.monitor().monitor.len());
    let mut browser = open(&relay, Window::DESKTOP);
    browser.await_count("#hosts tbody", 64);
    browser.await_text("#hosts-note", |text| text.contains("the 16 others"));
    let streamed = browser.evaluate("[...document.querySelectorAll('.host')].map((host) => host.innerText)");
    let left_out = (0..80)
        .map(|number| format!("host-{number:02}.test"))
        .find(|host| !streamed.as_array().expect("a list").contains(&host.as_str().into()))
        .expect("a host that the stream leaves out");
    browser.fill("#filter", &left_out);
    browser.await_text("#hosts .host", |text| text == left_out);
    browser.await_count("#hosts tbody", 1);
    browser.fill("#filter", "");
    browser.await_count("#hosts tbody", 64);
    browser.fill("#filter", "tcpscheduleclosed");
    browser.await_count("#hosts tbody", 80);
    browser.choose("#order", "messages");
    browser.await_text("#hosts .host", |text| text == "host-42.test");
    assert_eq!(browser.evaluate("document.querySelector('[aria-sort=descending]').innerText"), "Messages");
    browser.click("#host-heads button");
    browser.await_text("#hosts .host", |text| text == "host-00.test");
    browser.choose("#state-filter", "Sending");
    browser.await_text("#hosts-note", |text| text == "No host is like that.");
    browser.choose("#state-filter", "Held");
    browser.await_count("#hosts tbody", 80);

    browser.evaluate("document.querySelector('.host').focus()");
    browser.press("Enter");
    assert_eq!(browser.count("#hosts .host[aria-expanded=true]"), 1);
    browser.await_text("#hosts .advice", |text| text.contains("To do"));
    let tree = browser.tree("#hosts");
    for part in [
        "table \"Hosts that mail waits for\"",
        "columnheader \"Suspended Till\"",
        "rowheader \"host-00.test\"",
        "cell \"Held\"",
    ] {
        assert!(tree.contains(part), "{part} is in {tree}");
    }
    browser.press("Enter");
    assert_eq!(browser.count("#hosts .host[aria-expanded=true]"), 0);
    assert_well(&mut browser, &relay);
}

#[test]
fn the_page_can_be_read_by_all_on_all_screens() {
    let refuses =
        Scripted::start(|line| line.starts_with("MAIL").then(|| format!("451 4.7.1 {}", "try-later-".repeat(20))));
    let mut manifest =
        Manifest::by_mx().route(&["refuses.test"], refuses.address).scheduled(LinkState::Open, Vec::new());
    manifest.relay.retry.first = mailsluice_crds::quantity::Interval::from_secs(600);
    manifest.relay.retry.longest = mailsluice_crds::quantity::Interval::from_secs(600);
    manifest.relay.dkim = vec![
        serde_json::from_value(serde_json::json!({
            "domain": "signed.test", "selectors": ["s1"], "secretName": "not-there",
        }))
        .expect("an entry"),
    ];
    let relay = Relay::start(&manifest);
    Dialogue::open(relay.smtp).message("a@example.net", &["a@refuses.test"], &mail::text("deferred"));
    wait::until_some(PATIENCE, "the message is put off", || {
        relay.row(&refuses.address.to_string()).filter(|row| row.last_error.is_some())
    });
    for window in [Window::DESKTOP, Window::DESKTOP.dark(), Window::PHONE, Window::PHONE.dark()] {
        let mut browser = open(&relay, window);
        browser.await_text("#problem-list", |text| text.contains("SecretInvalid") && text.contains("To do"));
        browser.click("button.host");
        browser.await_text(".details", |text| text.matches("To do").count() == 2);
        browser.click("#schedule summary");
        assert_eq!(browser.audit(), Vec::<String>::new(), "{window:?}");
        assert_well(&mut browser, &relay);
        // The audit itself can fail.
        browser.evaluate("document.querySelector('h1').style.color = 'var(--line)'");
        browser.evaluate("document.querySelector('#hosts caption').remove()");
        browser.evaluate("document.querySelector('main').style.width = '2000px'");
        let faults = browser.audit().join("\n");
        for fault in ["contrast 1.", "no caption: <table id=hosts", "the page is 20"] {
            assert!(faults.contains(fault), "{fault} is in {faults}");
        }
    }
    let mut browser = Browser::start(Window { scripts: false, ..Window::PHONE });
    browser.open(&format!("http://{}/", relay.http));
    let text = browser.text("body").unwrap_or_default();
    assert!(text.contains("scripts are off") && text.contains("/monitor"), "{text}");
}

#[test]
fn lengths_of_time_and_sizes_are_written_as_people_read_them() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut browser = open(&relay, Window::DESKTOP);
    for (call, wanted) in [
        ("counted(0)", "0:00"),
        ("counted(-5000)", "0:00"),
        ("counted(1)", "0:01"),
        ("counted(59_000)", "0:59"),
        ("counted(3_600_000)", "1:00:00"),
        ("counted(86_399_000)", "23:59:59"),
        ("counted(187_506_000)", "2 d 04:05:06"),
        ("age(-1)", "0 s"),
        ("age(59_999)", "59 s"),
        ("age(60_000)", "1 min"),
        ("age(12_000_000)", "3 h 20 min"),
        ("age(86_400_000)", "1 d"),
        ("age(187_506_000)", "2 d 4 h"),
        ("size(0)", "0 B"),
        ("size(1023)", "1023 B"),
        ("size(4200)", "4.1 KiB"),
        ("size(52_428_800)", "50.0 MiB"),
        ("size(2 ** 50)", "1024 TiB"),
    ] {
        let written = browser.evaluate(&format!("import('/page/clock.js').then((clock) => clock.{call})"));
        assert_eq!(written, wanted, "{call}");
    }
    assert_eq!(
        browser.text("#schedule").as_deref(),
        Some("This relay has no TCP Schedule: connections may always be opened.")
    );
    assert_well(&mut browser, &relay);
}

#[test]
fn every_answer_of_the_monitor_comes_with_headers_that_guard_it() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new()));
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/page/main.js", 200, "text/javascript; charset=utf-8"),
        ("/page/page.css", 200, "text/css; charset=utf-8"),
        ("/page/clock.svg", 200, "image/svg+xml"),
        ("/monitor", 200, "application/json"),
        ("/schedule", 200, "application/json"),
        ("/explain/ECONNREFUSED", 200, "application/json"),
        ("/explain/NOTHING_OF_THE_KIND", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = http::get(relay.http, path, None).expect("an answer");
        let header = |name: &str| answer.headers.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!((answer.status, header("content-type")), (status, kind), "{path}");
        assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'; "), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(header(name), value, "{path}: {name}");
        }
    }
    assert_eq!(http::get(relay.http, "/page/nothing.js", None).expect("an answer").status, 404);
}
