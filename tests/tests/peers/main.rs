//! The peers matrix, as a table: `cargo test -p mailsluice-tests --test peers -- [PART OF A ROW'S NAME]...`
//!
//! Fails when a cell is wrong; a peer that cannot be had is counted as skipped, never as right.

use std::{any::Any, panic, process::ExitCode, time::Instant};

use mailsluice_tests::peers::{
    cell::Cell,
    row::{Row, Verdict},
};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let rows = Row::all().into_iter().filter(|row| {
        let title = row.title();
        wanted.is_empty() || wanted.iter().any(|part| title.contains(part.as_str()))
    });
    // What a row panics with is a verdict, told once.
    panic::set_hook(Box::new(|_| {}));
    print!("{:<24}", "");
    Cell::ALL.iter().for_each(|cell| print!("{:>13}", cell.title()));
    println!();
    let mut told = Vec::new();
    let (mut right, mut wrong, mut skipped, mut not_offered) = (0, 0, 0, 0);
    for row in rows {
        let start = Instant::now();
        let verdicts = panic::catch_unwind(|| row.run())
            .unwrap_or_else(|cause| Cell::ALL.map(|_| Verdict::Wrong(said(&*cause))).into());
        print!("{:<24}", row.title());
        for (cell, verdict) in Cell::ALL.iter().zip(&verdicts) {
            let (word, count) = match verdict {
                Verdict::Right => ("ok", &mut right),
                Verdict::Wrong(_) => ("WRONG", &mut wrong),
                Verdict::Skipped(_) => ("skipped", &mut skipped),
                Verdict::NotOffered => ("not offered", &mut not_offered),
            };
            *count += 1;
            print!("{word:>13}");
            if let Verdict::Wrong(why) | Verdict::Skipped(why) = verdict {
                told.push((format!("{}, {word}", row.title()), cell.title(), why.clone()));
            }
        }
        println!("{:>8.1} s", start.elapsed().as_secs_f64());
    }
    // One line where all cells of a row have the same reason.
    told.dedup_by(|later, earlier| later.0 == earlier.0 && later.2 == earlier.2);
    told.iter().for_each(|(row, cell, why)| println!("{row}: {cell}: {why}"));
    println!("peers matrix: {right} ok, {wrong} wrong, {skipped} skipped, {not_offered} not offered");
    if right + wrong + skipped + not_offered == 0 {
        println!("no row is named so");
        return ExitCode::FAILURE;
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The words of a panic.
fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
