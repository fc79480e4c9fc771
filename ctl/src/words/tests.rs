//! What is typed, what becomes of it, and how answers look.

use clap::{CommandFactory as _, Parser};
use jiff::Timestamp;
use mailsluice_crds::{
    catalogue::Code,
    monitor::{HostRow, HostState, Reason},
};
use serde_json::json;

use super::{
    act::Done,
    queue::{Hosts, MessageRow, MessageState, Messages},
    test::{Step, StepKind, StepResult, Verdict},
    *,
};
use crate::{Hold, MessageId, Target};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    word: Word,
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Output,
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    // Quotes as in a shell, as far as these lines have them.
    let mut words = vec!["ctl".to_owned()];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    Cli::try_parse_from(words)
}

fn relay_word(line: &str) -> RelayWord {
    match parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).word {
        Word::Relay(word) => word,
        Word::Explain(_) => panic!("{line} asks no relay"),
    }
}

fn by() -> Line {
    "alice".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn row(host: &str) -> HostRow {
    HostRow {
        host: host.to_owned(),
        state: HostState::Suspended,
        messages: 12,
        oldest: Some("2026-11-24T08:55:00Z".parse().unwrap()),
        suspended_till: Some("2026-11-25T07:00:00Z".parse().unwrap()),
        reason: Some(Reason::TcpScheduleClosed),
        problem: Some("TCP/IP link is down: it opens Wed 08:00".to_owned()),
        failing_since: None,
        last_error: None,
        addresses: Vec::new(),
        connections: Vec::new(),
    }
}

#[test]
fn the_command_line_is_sound_and_every_example_can_be_typed() {
    Cli::command().debug_assert();
    let command = with_examples(Cli::command(), "ctl");
    for (word, examples) in EXAMPLES {
        let help = command.find_subcommand(word).and_then(|word| word.get_after_help()).map(ToString::to_string);
        for (typed, does) in *examples {
            let cli = parse(&format!("{word} {typed}")).unwrap_or_else(|error| panic!("{word} {typed}: {error}"));
            assert_eq!(cli.output != Output::Table, typed.contains("-o "), "{word} {typed}");
            assert!(help.as_ref().is_some_and(|help| help.contains(does)), "{word}: {help:?}");
        }
    }
    let named: Vec<&str> = EXAMPLES.iter().map(|(word, _)| *word).collect();
    let words: Vec<&str> =
        command.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help").collect();
    assert!(words.iter().all(|word| named.contains(word)), "{words:?} have no examples");
}

#[test]
fn a_word_is_a_question() {
    for (line, path, question) in [
        ("status", "/status", json!({})),
        ("monitor -o json", "/monitor", json!({})),
        ("queue", "/queue", json!({"host": null, "most": 100, "after": null})),
        (
            "queue Example.com --after 00064a7b0c1d2e3f",
            "/queue",
            json!({"host": "example.com", "most": 100, "after": "00064A7B0C1D2E3F"}),
        ),
        ("hold --all", "/act", json!({"verb": "Hold", "targets": ["all"], "by": "alice"})),
        (
            "reject a.test 00064A7B0C1D2E3F a.test --reason 'gone wild'",
            "/act",
            json!({"verb": "Reject", "targets": [{"host": "a.test"}, {"message": "00064A7B0C1D2E3F"}], "by": "alice", "reason": "gone wild"}),
        ),
        (
            "log AllInfo --host a.test --for 30m",
            "/log",
            json!({"level": "AllInfo", "host": "a.test", "for": "30m", "by": "alice"}),
        ),
        ("test ann@a.test", "/test", json!({"address": "ann@a.test", "now": false, "within": "2m", "by": "alice"})),
        (
            "test ann@a.test --from s@b.test --client 10.0.0.1 --now --within 30s",
            "/test",
            json!({"address": "ann@a.test", "from": "s@b.test", "client": "10.0.0.1", "now": true, "within": "30s", "by": "alice"}),
        ),
        ("log crashesonly", "/log", json!({"level": "CrashesOnly", "by": "alice"})),
    ] {
        assert_eq!(relay_word(line).question(&by()), (path, question), "{line}");
    }
    for bad in [
        "retry",
        "drop --all a.test",
        "queue --after 00064A7B0C1D2E3F",
        "log",
        "log Loud",
        "queue --most 0",
        "frob",
        "test",
        "test a@a.test --client mail.test",
        "test a@a.test --within 0s",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

/// What `kubectl mailsluice` types in a pod is what was typed.
#[test]
fn a_word_is_typed_again_elsewhere_as_it_was() {
    for line in [
        "status",
        "monitor",
        "queue",
        "queue a.test --most 7 --after 00064A7B0C1D2E3F",
        "retry a.test b.test --reason 'it -- is back'",
        "hold --all",
        "release 00064A7B0C1D2E3F",
        "reject a.test --reason no",
        "drop a.test",
        "log LowLevel --host a.test --for 2h",
        "test a@a.test",
        "test --from=-f@b.test --client ::1 --now --within 9s -- -a@a.test",
    ] {
        let word = relay_word(line);
        let again = Cli::try_parse_from(std::iter::once("ctl".to_owned()).chain(word.arguments())).unwrap();
        let Word::Relay(again) = again.word else { panic!("{line}") };
        assert_eq!(again.question(&by()), word.question(&by()), "{line}");
    }
}

fn acted(target: Target, found: bool, messages: u64, sending: u64) -> Acted {
    let done = Done { target, found, messages, sending, failed: 0, waiting: Vec::new(), waiting_not_shown: 0 };
    Acted { now: now(), verb: Verb::Drop, results: vec![done] }
}

fn said<A: Serialize>(pod: Option<&str>, answer: &A) -> Said<Value> {
    Said { pod: pod.map(str::to_owned), answer: serde_json::to_value(answer).unwrap() }
}

#[test]
fn a_message_that_one_of_several_pods_has_is_found() {
    let word = relay_word("drop 00064A7B0C1D2E3F");
    let target = Target::Message(MessageId::from_u64(0x0006_4a7b_0c1d_2e3f));
    let nowhere = acted(target.clone(), false, 0, 0);
    let two = |second: &Acted| vec![said(Some("out-0"), &nowhere), said(Some("out-1"), second)];
    let shown = word.show(two(&acted(target.clone(), true, 1, 0)), Output::Table).unwrap();
    assert_eq!((shown.text.as_str(), shown.success), ("out-1: 00064A7B0C1D2E3F: 1 message removed\n", true));
    let shown = word.show(two(&nowhere), Output::Table).unwrap();
    assert_eq!((shown.text.as_str(), shown.success), ("00064A7B0C1D2E3F: no such message waits\n", false));
    let shown = word.show(vec![said(None, &acted(target, true, 0, 1))], Output::Table).unwrap();
    assert_eq!(
        shown.text,
        "00064A7B0C1D2E3F: 0 messages removed; 1 message is being sent at this moment: left alone\n"
    );
}

#[test]
fn an_action_names_the_hosts_that_wait_all_the_same() {
    let mut retried = acted(Target::All, true, 12, 0);
    retried.verb = Verb::Retry;
    retried.results[0].waiting = vec![row("a.test")];
    retried.results[0].waiting_not_shown = 3;
    let shown = relay_word("retry --all").show(vec![said(None, &retried)], Output::Table).unwrap();
    assert_eq!(
        shown.text,
        "all mail: 12 messages due now\n  a.test is still waiting: TcpScheduleClosed: TCP/IP link is down: it opens Wed 08:00\n  \
         and 3 more hosts wait\n"
    );
}

fn message() -> MessageRow {
    MessageRow {
        id: MessageId::from_u64(7),
        in_queue: "2026-11-24T11:20:00Z".parse().unwrap(),
        return_path: "shop@example.org".to_owned(),
        addrs: vec!["a@a.test".to_owned()],
        addrs_count: 3,
        size: 3_500,
        state: MessageState::Held,
        delayed_till: None,
        attempts: 2,
        last_error: None,
        hold: Some(Hold { by: by(), since: now(), reason: Some("spam?".parse().unwrap()) }),
    }
}

#[test]
fn messages_have_the_fields_of_the_original() {
    let answer = QueueSaid::Messages(Messages {
        now: now(),
        host: "a.test".parse().unwrap(),
        row: Some(Box::new(row("a.test"))),
        messages: vec![message()],
        more_after: Some(MessageId::from_u64(7)),
    });
    let shown = relay_word("queue a.test").show(vec![said(None, &answer)], Output::Table).unwrap();
    assert_eq!(
        shown.text,
        "a.test: Delayed, TcpScheduleClosed: TCP/IP link is down: it opens Wed 08:00\n\
         ID                IN QUEUE  RETURN PATH         ADDRS                 SIZE  STATUS  DELAYED TILL  ATTEMPTS  LAST ERROR\n\
         0000000000000007  40m       <shop@example.org>  a@a.test and 2 more  3.4Ki  Held    -                    2  held by alice since 2026-11-24T12:00:00Z: spam?\n\
         more come after these: --after 0000000000000007\n"
    );
    let json = relay_word("queue a.test").show(vec![said(None, &answer)], Output::Json).unwrap().text;
    let again: QueueSaid = serde_json::from_str(&json).unwrap();
    assert_eq!(again, answer, "one relay's answer is written as it is");
}

#[test]
fn answers_of_several_pods_are_in_one_table_and_one_list() {
    let hosts = |hosts| QueueSaid::Hosts(Hosts { now: now(), hosts, hosts_not_shown: 0 });
    let two = vec![said(Some("out-0"), &hosts(vec![row("a.test")])), said(Some("out-1"), &hosts(Vec::new()))];
    let word = relay_word("queue");
    assert_eq!(
        word.show(two.clone(), Output::Table).unwrap().text,
        "POD    HOST    STATUS   MESSAGES  IN QUEUE  DELAYED TILL          LAST ERROR\n\
         out-0  a.test  Delayed        12  3h5m      2026-11-25T07:00:00Z\n"
    );
    let json: Value = serde_json::from_str(&word.show(two.clone(), Output::Json).unwrap().text).unwrap();
    assert_eq!((&json[1]["pod"], &json[0]["answer"]["hosts"][0]["host"]), (&"out-1".into(), &"a.test".into()));
    assert!(word.show(two, Output::Yaml).unwrap().text.starts_with("- "));
    let error = word.show(vec![Said { pod: None, answer: json!({"what": 1}) }], Output::Table).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
}

fn step(step: StepKind, result: StepResult, text: &str) -> Step {
    Step { step, result, peer: None, milliseconds: None, text: text.to_owned(), reason: None, code: None, advice: None }
}

fn tested(verdict: Verdict, steps: Vec<Step>) -> Tested {
    let address = "ann@a.test".to_owned();
    Tested { now: now(), address, host: Some("a.test".to_owned()), session: Some("S1".to_owned()), verdict, steps }
}

#[test]
fn a_dry_run_is_told_step_by_step_and_ends_in_a_sentence() {
    let refused = Step {
        milliseconds: Some(12),
        code: Code::from_name("550 5.1.1"),
        advice: Some("ask them".to_owned()),
        ..step(StepKind::RcptTo, StepResult::Failed, "550 5.1.1 nobody\u{1b}[2J")
    };
    let late = Step {
        code: Code::from_name("ETIMEDOUT"),
        ..step(StepKind::Connect, StepResult::Failed, "no answer within 30 s")
    };
    let answer = tested(Verdict::Refused, vec![step(StepKind::Route, StepResult::Ok, "routes[0]"), late, refused]);
    let shown = relay_word("test ann@a.test").show(vec![said(Some("out-0"), &answer)], Output::Table).unwrap();
    assert_eq!(
        shown.text,
        "out-0: mail for ann@a.test goes to a.test, session S1\n\
         STEP     RESULT  MS  WHAT\n\
         Route    ok       -  routes[0]\n\
         Connect  FAILED   -  ETIMEDOUT: no answer within 30 s\n\
         RcptTo   FAILED  12  550 5.1.1 nobody\\u{1b}[2J\n                     To do: ask them\n\
         out-0: The host does not take this mail for ann@a.test.\n"
    );
    assert!(!shown.success);
}

#[test]
fn a_dry_run_succeeds_where_host_and_relay_take_the_mail() {
    let held = Step { reason: Some(Reason::Held), ..step(StepKind::Queue, StepResult::Note, "held by ann") };
    for (verdict, first, success, says) in [
        (Verdict::Accepted, step(StepKind::Access, StepResult::Ok, ""), true, "Nothing was sent."),
        (Verdict::Accepted, held, true, "waits all the same"),
        (Verdict::Accepted, step(StepKind::Access, StepResult::Failed, "550"), false, "this relay does not take it"),
        (Verdict::NotReached, step(StepKind::Dns, StepResult::Failed, ""), false, "No host can be given mail"),
        (Verdict::NotTried, step(StepKind::Schedule, StepResult::Stopped, ""), false, "No host was connected to"),
    ] {
        let answer = tested(verdict, vec![first]);
        let shown = relay_word("test ann@a.test").show(vec![said(None, &answer)], Output::Table).unwrap();
        assert_eq!(shown.success, success, "{}", shown.text);
        assert!(shown.text.contains(says), "{}", shown.text);
        let json = relay_word("test ann@a.test").show(vec![said(None, &answer)], Output::Json).unwrap().text;
        assert_eq!(serde_json::from_str::<Tested>(&json).unwrap(), answer);
    }
}
