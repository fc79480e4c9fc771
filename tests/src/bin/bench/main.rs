//! Measures the relay beside Postfix and Exim, in the same run: the same source, the same sink, the same machine; and prints
//! the table of goals.
//!
//! `cargo run --release -p mailsluice-tests --bin bench [--rounds N] [--scale F] [--plots DIR] [ROW...]`, as root, with Postfix's
//! package installed, and Exim's unpacked by `tests/peers/build`. Without a row it measures all of them, which takes some
//! eleven minutes. Everything happens in a network of its own.
//!
//! `MAILSLUICE_EARLIER` names another build of the relay, which is measured beside: whether a change costs anything.
//!
//! Each relay begins each round afresh, with an empty queue and a fresh sink, in an order that rotates. What is counted is what
//! the sink has, never what the source thinks. A slow relay gets fewer messages: its rate does not depend on how many.

mod burst;
mod client;
mod handshakes;
mod latency;
mod mta;
mod plot;
mod process;
mod queue;
mod report;
mod sink;
mod throughput;
mod tls;
mod writes;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::Instant,
};

use mailsluice_tests::relay;

use report::Line;

/// Set where the program runs in a network of its own already.
const INSIDE: &str = "MAILSLUICE_BENCH_NETWORK";

/// What is told of what failed.
pub(crate) const UNMEASURED: &str = "could not be measured";

/// Measures a row, or several.
type Row = fn(&mut Bench);

/// What else there is to measure besides the works of [`throughput::WORKS`].
const OTHERS: [(&str, Row); 6] = [
    ("handshakes", handshakes::run),
    ("latency", latency::run),
    ("burst", burst::run),
    ("queue", queue::run),
    ("writes", writes::run),
    ("sessions", throughput::by_sessions),
];

/// How much is measured, and what came of it.
pub(crate) struct Bench {
    /// How often a rate is measured; its median counts.
    pub(crate) rounds: usize,
    scale: f64,
    plots: Option<PathBuf>,
    lines: Vec<Line>,
}

impl Bench {
    /// So many messages, or fewer where the whole is to be shorter.
    pub(crate) fn scaled(&self, messages: u64) -> u64 {
        ((messages as f64 * self.scale) as u64).max(100)
    }

    /// Puts a line into the table.
    pub(crate) fn tell(&mut self, line: Line) {
        println!("{line}");
        self.lines.push(line);
    }

    /// Measures something, without which the rest is measured and told all the same; `of` is what it is told by where it fails.
    pub(crate) fn attempt<T>(&mut self, of: &str, measure: impl FnOnce() -> T) -> Option<T> {
        let seen = catch_unwind(AssertUnwindSafe(measure)).ok();
        if seen.is_none() {
            self.tell(Line::new(of, "", UNMEASURED).met(false));
        }
        seen
    }

    /// Draws curves, where that is wanted.
    pub(crate) fn plot(&self, name: &str, axes: (&str, &str), curves: &[plot::Curve]) {
        if let Some(folder) = &self.plots
            && curves.iter().any(|(_, curve)| !curve.is_empty())
        {
            fs::create_dir_all(folder).expect("a folder for plots");
            plot::draw(&folder.join(format!("{name}.svg")), axes, curves).expect("a plot");
        }
    }
}

fn main() -> ExitCode {
    if env::var_os(INSIDE).is_none() {
        return again_in_a_network_of_its_own();
    }
    let mut bench = Bench { rounds: 3, scale: 1.0, plots: None, lines: Vec::new() };
    let mut wanted = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} is followed by a value"));
        match argument.as_str() {
            "--rounds" => bench.rounds = value().parse().expect("--rounds is followed by a number"),
            "--scale" => bench.scale = value().parse().expect("--scale is followed by a number"),
            "--plots" => bench.plots = Some(value().into()),
            _ => wanted.push(argument),
        }
    }
    let names = || throughput::WORKS.iter().map(|(name, _)| *name).chain(OTHERS.iter().map(|(name, _)| *name));
    if let Some(unknown) = wanted.iter().find(|row| !names().any(|name| name == row.as_str())) {
        eprintln!("bench: {unknown} is none of {}", names().collect::<Vec<_>>().join(" "));
        return ExitCode::FAILURE;
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|row| row == name);

    let begun = Instant::now();
    conditions(&bench);
    for (name, work) in throughput::WORKS {
        if is_wanted(name) {
            guarded(&mut bench, name, |bench| throughput::run(bench, name, &work));
        }
    }
    for (name, run) in OTHERS {
        if is_wanted(name) {
            guarded(&mut bench, name, run);
        }
    }
    println!("\nin {:.0} s:\n\n{}", begun.elapsed().as_secs_f64(), report::HEADER);
    bench.lines.iter().for_each(|line| println!("{line}"));
    if bench.lines.iter().any(|line| line.met == Some(false)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What goes wrong in one row is told, and the next one is measured all the same.
fn guarded(bench: &mut Bench, name: &str, run: impl FnOnce(&mut Bench)) {
    if catch_unwind(AssertUnwindSafe(|| run(bench))).is_err() {
        bench.tell(Line::new(name, "", UNMEASURED).met(false));
    }
}

/// Nobody else's ports, and port 25 free.
fn again_in_a_network_of_its_own() -> ExitCode {
    // Built before, so that the build needs no network in there.
    let program = relay::program();
    let path = env::var("PATH").unwrap_or_default();
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(env::current_exe().expect("this program"))
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("MAILSLUICE_RELAY", program)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: unshare (util-linux): {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what the figures depend on.
fn conditions(bench: &Bench) {
    let first_line = |file: &str, start: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    let version = |command: &str, arguments: &[&str]| {
        mailsluice_tests::process::run(Command::new(command).args(arguments)).trim().to_owned()
    };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {}", first_line("/proc/cpuinfo", "model name"));
    println!("kernel {}", first_line("/proc/sys/kernel/osrelease", ""));
    println!("{}", version(&relay::program().display().to_string(), &["--version"]));
    println!("Postfix: {}", version("/usr/sbin/postconf", &["-d", "mail_version"]));
    if !mta::Who::all().contains(&mta::Who::Exim) {
        println!("no Exim: tests/peers/build unpacks it");
    }
    println!("medians of {} rounds; each syncs a message to disk before its 250", bench.rounds);
}
