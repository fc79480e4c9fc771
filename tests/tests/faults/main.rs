//! Forty ways in which mail gets stuck, as a table: `cargo test -p mailsluice-tests --test faults -- [PART OF A ROW'S NAME]...`
//!
//! `--write` writes `docs/troubleshooting.md`; `--postfix` prints what Postfix says of the same faults, and with `--write` writes
//! `docs/postfix.md`; `--latency` prints how long it takes till one is seen.
//!
//! Fails when a fault is not seen as it should be, when the mail does not flow after it, or when `docs/troubleshooting.md` is not what the
//! run gives.

use std::{fs, process::ExitCode, time::Duration};

use mailsluice_tests::faults::{
    beside::{self, Counts},
    compare::{self, Compared},
    latency::{self, Way},
    page,
    row::Row,
    run::{self, Report},
    table, world,
};

/// Faults whose way into the Monitor is measured.
const TRIES: u16 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, wanted): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let asked = |name: &str| options.iter().any(|option| *option == name);
    if !rustix::process::geteuid().is_root() {
        println!("faults: it takes root, for networks and mounts of its own");
        return ExitCode::FAILURE;
    }
    world::enter();
    let rows: Vec<Row> = table::rows()
        .into_iter()
        .filter(|row| wanted.is_empty() || wanted.iter().any(|part| row.name.contains(part.as_str())))
        .collect();
    if rows.is_empty() {
        println!("no row is named so");
        return ExitCode::FAILURE;
    }
    if asked("--postfix") {
        let compared = compare::run(&rows);
        print_beside(&compared);
        if asked("--write") && wanted.is_empty() {
            fs::write(beside::file(), beside::page(&compared)).expect("write the page");
        }
        return ExitCode::SUCCESS;
    }
    if asked("--latency") {
        return latencies();
    }
    let reports = run::run(&rows);
    let mut wrong = 0;
    println!("{:<20} {:>9} {:>9}  what the Monitor shows", "", "seen", "flows");
    for report in &reports {
        print(report);
        wrong += usize::from(!report.wrong.is_empty());
    }
    println!("faults: {} ok, {wrong} wrong", reports.len() - wrong);
    let mut good = wrong == 0;
    if wanted.is_empty() && good {
        let text = page::page(&reports);
        if asked("--write") {
            fs::write(page::file(), &text).expect("write the page");
        } else if let Err(why) = page::compare(&text) {
            println!("{why}");
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_beside(rows: &[Compared]) {
    println!("{:<20} {:<46} {:>5} {:>5} {:>5}  what Postfix says", "", "the Monitor", "3 s", "3 s", "45 s");
    let said = |named: bool| if named { "yes" } else { "no" };
    for row in rows {
        let (soon, late, words) = match &row.theirs {
            Some(answer) => (said(answer.soon), said(answer.late), answer.words.chars().take(160).collect()),
            None => ("-", "-", "it has nothing of the kind, or not by itself".to_owned()),
        };
        let name = row.ours.row.name;
        println!("{name:<20} {:<46} {:>5} {soon:>5} {late:>5}  {words}", row.shows(), said(row.is_soon()));
        row.ours.wrong.iter().for_each(|why| println!("{:<20} WRONG: {why}", ""));
    }
    let Counts { ours, ours_soon, theirs, theirs_soon, theirs_late } = Counts::of(rows);
    println!("the Monitor names {ours_soon} of {ours} within 3 s");
    println!("Postfix names {theirs_soon} of {theirs} within 3 s, {theirs_late} within 45 s");
}

fn latencies() -> ExitCode {
    for (way, name) in [(Way::Asked, "/monitor"), (Way::Streamed, "/monitor/stream")] {
        let took = latency::measure(way, TRIES);
        let [p50, p99, most] = [50, 99, 100].map(|percent| latency::percentile(&took, percent).as_secs_f64() * 1e3);
        println!("{name:<16} {TRIES} faults: p50 {p50:.1} ms, p99 {p99:.1} ms, at most {most:.1} ms");
    }
    ExitCode::SUCCESS
}

fn print(report: &Report) {
    let shown =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    let what = report.seen.last().map(|seen| format!("{}: {}", seen.shown, seen.text)).unwrap_or_default();
    println!("{:<20} {:>9} {:>9}  {what}", report.row.name, shown(report.took), shown(report.flowed));
    for why in &report.wrong {
        println!("{:<20} WRONG: {why}", "");
    }
}
