//! The operator's page, in a real browser: all relays, the worst hosts of one, and who leads where this one does not.

use std::net::SocketAddr;

use mailsluice_tests::{
    api::ApiServer,
    browser::{Browser, Window},
    dialogue::Dialogue,
    http, mail,
    manifest::Manifest,
    operator::{Operator, PATIENCE},
    relay::Relay,
    scripted::Scripted,
    wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::definitions;

/// What a host says that would like to be part of the page.
const HOSTILE: &str = "<script>hacked = 1</script><img src=x onerror=\"hacked = 1\"><b>&lt;";
/// Where the relay shows itself: the address of its pod, as the API server is told, with the port that every pod has.
const POD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 80, 25, 1)), 8025);

#[test]
fn all_relays_are_on_one_page_with_what_their_mail_waits_for() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let leader = Operator::start(&server, "first");
    wait::until_some(PATIENCE, "it leads and is ready", || (leader.leads() && leader.is_ready()).then_some(()));

    let refuses = Scripted::start(|line| line.starts_with("MAIL").then(|| format!("451 4.7.1 {HOSTILE}")));
    let mut manifest = Manifest::to(refuses.address);
    manifest.relay.retry.first = mailsluice_crds::quantity::Interval::from_secs(600);
    manifest.relay.retry.longest = mailsluice_crds::quantity::Interval::from_secs(600);
    manifest.relay.clients[0].senders = vec!["@example.org".into()];
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_at_http(folder, &file, &manifest, &["--http", &POD.to_string()], POD);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("deferred"));
    let mut refused = Dialogue::open(relay.smtp);
    refused.expect("MAIL FROM:<\"<b>boss</b>\"@bank.test>", "250");
    refused.expect("RCPT TO:<a@one.test>", "550 5.7.1");
    server.apply("{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {}}");
    server.apply(
        "{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: dangling}, spec: {scheduleRef: {name: none}}}",
    );
    server.run_pod("outbound", POD.ip());
    let problem = |name: &str| Some(server.object("smtprelay", name)?["status"]["problem"].as_str()?.to_owned());
    let held = wait::until_some(PATIENCE, "a relay has a problem", || problem("dangling"));
    let deferred = wait::until_some(PATIENCE, "a relay knows its mail", || problem("outbound"));

    let status = server.object("smtprelay", "outbound").expect("the relay")["status"].take();
    let client = &status["clients"][0];
    assert_eq!(
        (&client["client"], &client["kind"], &client["listed"]),
        (&json!("127.0.0.1"), &json!("Address"), &json!(true))
    );
    let last = &client["lastRefusal"];
    assert_eq!((&last["code"], &last["stage"]), (&json!("550 5.7.1"), &json!("RcptTo")), "{status}");
    assert_eq!(last["sender"], "<\"<b>boss</b>\"@bank.test>");

    for window in [Window::DESKTOP, Window::PHONE.dark()] {
        let mut browser = Browser::start(window);
        let page = format!("http://{}/", leader.http());
        assert_eq!(browser.open(&page), 200);
        browser.await_text("#live", |text| text == "Live");
        let relays = browser.await_text("#relays", |text| text.contains(&held) && text.contains(&deferred));
        assert!(relays.contains("default/outbound") && relays.contains("default/dangling"), "{relays}");
        browser.await_count("#relays tbody tr", 2);
        assert_eq!(browser.count("#chosen[hidden]"), 1, "nobody has asked for hosts");

        browser.evaluate("document.querySelector('#relays a[href$=outbound]').focus()");
        browser.press("Enter");
        let sentence = browser.await_text("#hosts .sentence", |_| true);
        let row = relay.row(&refuses.address.to_string()).expect("a row");
        assert_eq!(Some(&sentence), row.problem.as_ref(), "the same sentence as everywhere");
        browser.await_text("#chosen-title", |text| text == "Hosts of default/outbound");
        assert_eq!(browser.count("#hosts .state .sign-clock"), 1, "the clock sign");
        browser.await_text("#clients tbody tr", |text| text.contains("550 5.7.1") && text.contains("<b>boss</b>"));
        let left = browser.await_text("#hosts td.till .till", |text| text.starts_with("in "));
        browser.await_text("#hosts td.till .till", |text| text != left);
        browser.click("#hosts button.host");
        let said = browser.await_text("#hosts blockquote", |_| true);
        assert!(said.contains(HOSTILE), "{said}");
        browser.await_text("#hosts .details", |text| text.matches("To do").count() == 2);
        assert_eq!(browser.evaluate("typeof hacked"), "undefined");
        assert_eq!(browser.count("main script, main img, main bdi *"), 0);

        browser.evaluate("location.hash = 'default/dangling'");
        browser.await_text("#hosts-note", |text| text.contains("is not known"));
        assert_eq!(browser.count("#hosts tbody"), 0, "one relay's hosts are not another's");
        browser.evaluate("location.hash = 'default/outbound'");
        browser.await_text("#hosts .sentence", |text| text == sentence);
        assert_eq!(browser.audit(), Vec::<String>::new(), "{window:?}");
        let narrow = "[...document.querySelectorAll('#relays td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length";
        assert_eq!(browser.evaluate(narrow), 0, "{window:?}: no cell is wider than its place");
        assert_eq!(browser.faults(), Vec::<String>::new());
        let others: Vec<String> = browser.asked().into_iter().filter(|url| !url.starts_with(&page)).collect();
        assert_eq!(others, Vec::<String>::new());
    }

    let follower = Operator::start(&server, "second");
    let mut browser = Browser::start(Window::DESKTOP);
    browser.open(&format!("http://{}/", follower.http()));
    let says = browser.await_text("#standby", |text| text.contains("first leads"));
    assert!(says.contains("kubectl port-forward first 8080"), "{says}");
    assert_eq!(browser.count("main[hidden]"), 1);
    let answer = http::get(follower.http(), "/relays", None).expect("an answer");
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&answer["leads"], &answer["leader"], &answer["relays"]), (&json!(false), &json!("first"), &json!([])));
}
