//! A real browser: Debian's Chromium, driven by `tests/page/browser.mjs`.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    process::Process,
    relay::PATIENCE,
    wait::{self, until_some},
    workspace,
};

/// Debian's own.
const CHROMIUM: &str = "/usr/bin/chromium";

/// How the browser's window is.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Whether its reader likes it dark.
    pub dark: bool,
    /// Its size, in CSS pixels.
    pub size: (u32, u32),
    /// Whether scripts run in it.
    pub scripts: bool,
}

impl Window {
    /// That of a desk, in the light.
    pub const DESKTOP: Window = Window { dark: false, size: (1280, 900), scripts: true };
    /// That of a phone, in the light.
    pub const PHONE: Window = Window { dark: false, size: (390, 844), scripts: true };

    /// The same, in the dark.
    #[must_use]
    pub const fn dark(self) -> Window {
        Window { dark: true, ..self }
    }
}

/// A browser with one page. Selectors are those of CSS.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    /// Starts one.
    #[must_use]
    pub fn start(window: Window) -> Browser {
        let driver = std::env::var_os("MAILSLUICE_PAGE").map_or_else(|| workspace().join("target/page"), PathBuf::from);
        let driver = driver.join("browser.mjs");
        assert!(driver.exists(), "{} is missing: run tests/page/build", driver.display());
        assert!(Path::new(CHROMIUM).exists(), "there is no {CHROMIUM}: run tests/install fast");
        let (width, height) = window.size;
        let mut command = Command::new("node");
        command.arg(driver).args(["--chromium", CHROMIUM]);
        command.args(["--width", &width.to_string(), "--height", &height.to_string()]);
        if window.dark {
            command.arg("--dark");
        }
        if !window.scripts {
            command.arg("--noscript");
        }
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = process.input();
        let output = BufReader::new(process.output().expect("it is piped")).lines();
        Browser { process, input, output }
    }

    /// Opens a page; the status that it is answered with.
    pub fn open(&mut self, url: &str) -> u64 {
        self.ask("open", json!({ "url": url })).as_u64().expect("a status")
    }

    /// The text that is seen of the first such element; none where there is no such element.
    pub fn text(&mut self, at: &str) -> Option<String> {
        self.ask("text", json!({ "at": at })).as_str().map(str::to_owned)
    }

    /// Waits until the text of the first such element is as it should be.
    pub fn await_text(&mut self, at: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = None;
        let mut look = || {
            last = self.text(at);
            last.clone().filter(|text| wanted(text))
        };
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(std::time::Instant::now() < end, "the text of {at} is still {last:?}; faults: {:?}", self.faults());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many such elements there are.
    pub fn count(&mut self, at: &str) -> u64 {
        self.ask("count", json!({ "at": at })).as_u64().expect("a number")
    }

    /// Waits until there are so many such elements.
    pub fn await_count(&mut self, at: &str, wanted: u64) {
        wait::until_equal(PATIENCE, at, wanted, || self.count(at));
    }

    /// Clicks on the first such element.
    pub fn click(&mut self, at: &str) {
        self.ask("click", json!({ "at": at }));
    }

    /// Presses a key, such as `Tab` or `Enter`.
    pub fn press(&mut self, key: &str) {
        self.ask("press", json!({ "key": key }));
    }

    /// Writes a text into a field.
    pub fn fill(&mut self, at: &str, text: &str) {
        self.ask("fill", json!({ "at": at, "text": text }));
    }

    /// Chooses an option by its value.
    pub fn choose(&mut self, at: &str, value: &str) {
        self.ask("choose", json!({ "at": at, "value": value }));
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.ask("evaluate", json!({ "script": script }))
    }

    /// What a screen reader is told of the first such element, as an outline.
    pub fn tree(&mut self, at: &str) -> String {
        self.ask("tree", json!({ "at": at })).as_str().expect("a text").to_owned()
    }

    /// What is wrong with the page for those who see it badly or not at all: contrast, names, heads of tables, what is cut off.
    pub fn audit(&mut self) -> Vec<String> {
        texts(&self.ask("audit", json!({})))
    }

    /// Errors of scripts, dialogs, and what the page's policy refused.
    pub fn faults(&mut self) -> Vec<String> {
        texts(&self.ask("faults", json!({})))
    }

    /// Every address that the page has asked.
    pub fn asked(&mut self) -> Vec<String> {
        texts(&self.ask("asked", json!({})))
    }

    /// Writes a picture of the page, as PNG: of all of it, up to so many pixels down.
    pub fn picture(&mut self, file: &Path, height: u32) {
        self.ask("picture", json!({ "file": file, "height": height }));
    }

    fn ask(&mut self, verb: &str, mut of: Value) -> Value {
        of["verb"] = verb.into();
        let input = self.input.as_mut().expect("it is there till the end");
        writeln!(input, "{of}").unwrap_or_else(|error| panic!("{verb}: the browser is gone: {error}"));
        let line =
            self.output.next().unwrap_or_else(|| panic!("{verb}: the browser is gone: {:?}", self.process.ended()));
        let mut answer: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        if let Some(error) = answer.get("error") {
            panic!("{of}: {error}");
        }
        answer["ok"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its input, and takes its own processes along.
        drop(self.input.take());
        if !std::thread::panicking() {
            until_some(3 * PATIENCE, "the browser ends", || self.process.ended());
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}
