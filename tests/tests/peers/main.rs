//! The peers matrix, as a table: `cargo test -p mailsluice-tests --test peers -- [PART OF A ROW'S NAME]...`
//!
//! Fails when a cell is wrong; a peer that cannot be had is counted as skipped, never as right.

use std::{
    collections::BTreeMap,
    panic,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::peers::{
    cell::Cell,
    row::{Row, Verdict},
};

/// Rows that run beside each other: most of the time each waits for a queue or for a program to start.
const BESIDE: usize = 4;

/// Counts of verdicts, and the words for those that are to be explained.
#[derive(Default)]
struct Tally {
    right: u32,
    wrong: u32,
    skipped: u32,
    not_offered: u32,
    told: Vec<(String, &'static str, String)>,
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let rows: Vec<Row> = Row::all()
        .into_iter()
        .filter(|row| {
            let title = row.title();
            wanted.is_empty() || wanted.iter().any(|part| title.contains(part.as_str()))
        })
        .collect();
    if rows.is_empty() {
        println!("no row is named so");
        return ExitCode::FAILURE;
    }
    // What a row panics with is a verdict, told once.
    panic::set_hook(Box::new(|_| {}));
    print!("{:<24}", "");
    Cell::ALL.iter().for_each(|cell| print!("{:>12}", cell.title()));
    println!();
    let mut tally = Tally::default();
    run(&rows, |row, verdicts, took| tally.print(row, verdicts, took));
    // One line where all cells of a row have the same reason.
    tally.told.dedup_by(|later, earlier| later.0 == earlier.0 && later.2 == earlier.2);
    tally.told.iter().for_each(|(row, cell, why)| println!("{row}: {cell}: {why}"));
    let Tally { right, wrong, skipped, not_offered, .. } = tally;
    println!("peers matrix: {right} ok, {wrong} wrong, {skipped} skipped, {not_offered} not offered");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the rows, some beside each other, and shows them in their order.
fn run(rows: &[Row], mut show: impl FnMut(Row, &[Verdict], Duration)) {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    let done = Mutex::new(done);
    thread::scope(|scope| {
        for _ in 0..BESIDE.min(rows.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(number) else { return };
                    let start = Instant::now();
                    let verdicts = row.run();
                    // The receiver lives as long as the scope.
                    let _ = done.lock().expect("nobody panics with it").send((number, verdicts, start.elapsed()));
                }
            });
        }
        let mut early = BTreeMap::new();
        for number in 0..rows.len() {
            while !early.contains_key(&number) {
                let (number, verdicts, took) = results.recv().expect("each row has a result");
                early.insert(number, (verdicts, took));
            }
            let (verdicts, took) = &early[&number];
            show(rows[number], verdicts, *took);
        }
    });
}

impl Tally {
    fn print(&mut self, row: Row, verdicts: &[Verdict], took: Duration) {
        print!("{:<24}", row.title());
        for (cell, verdict) in Cell::ALL.iter().zip(verdicts) {
            let (word, count) = match verdict {
                Verdict::Right => ("ok", &mut self.right),
                Verdict::Wrong(_) => ("WRONG", &mut self.wrong),
                Verdict::Skipped(_) => ("skipped", &mut self.skipped),
                Verdict::NotOffered(_) => ("not offered", &mut self.not_offered),
            };
            *count += 1;
            print!("{word:>12}");
            if let Verdict::Wrong(why) | Verdict::Skipped(why) | Verdict::NotOffered(why) = verdict {
                self.told.push((format!("{}, {word}", row.title()), cell.title(), why.clone()));
            }
        }
        println!("{:>8.1} s", took.as_secs_f64());
    }
}
