//! Forty ways in which mail gets stuck, as a table: `cargo test -p mailsluice-tests --test faults -- [PART OF A ROW'S NAME]...`
//!
//! Fails when a fault is not seen as it should be, when the mail does not flow after it, or when `docs/troubleshooting.md` is not what the
//! run gives. A row that cannot be made here is counted as skipped, never as right.

use std::{fs, process::ExitCode, time::Duration};

use mailsluice_tests::faults::{
    page,
    row::Row,
    run::{self, Report},
    table, world,
};

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
    let reports = run::run(&rows);
    let mut wrong = 0;
    let mut skipped = 0;
    println!("{:<20} {:>9} {:>9}  what the Monitor shows", "", "seen", "flows");
    for report in &reports {
        print(report);
        wrong += usize::from(!report.wrong.is_empty());
        skipped += usize::from(report.skipped.is_some());
    }
    println!("faults: {} ok, {wrong} wrong, {skipped} skipped", reports.len() - wrong - skipped);
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

fn print(report: &Report) {
    let shown =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    let what = report.skipped.map_or_else(
        || report.seen.last().map(|seen| format!("{}: {}", seen.shown, seen.text)).unwrap_or_default(),
        |why| format!("skipped: {why}"),
    );
    println!("{:<20} {:>9} {:>9}  {what}", report.row.name, shown(report.took), shown(report.flowed));
    for why in &report.wrong {
        println!("{:<20} WRONG: {why}", "");
    }
}
