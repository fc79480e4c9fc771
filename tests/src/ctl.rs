//! `mailsluice-relay ctl`, typed at a relay that runs.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde::de::DeserializeOwned;

use crate::relay::{Relay, program};

/// What came of it.
#[derive(Debug)]
pub struct Typed {
    /// Whether the exit status was that of success.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Types words for the relay of this spool.
#[must_use]
pub fn type_at(spool: &Path, words: &[&str]) -> Typed {
    let output = Command::new(program()).arg("ctl").arg("--spool").arg(spool).args(words).output().expect("run ctl");
    let Output { status, stdout, stderr } = output;
    let text = |octets| String::from_utf8(octets).expect("UTF-8");
    Typed { success: status.success(), out: text(stdout), err: text(stderr) }
}

impl Relay {
    /// Types words; what was written.
    #[must_use]
    pub fn ctl(&self, words: &[&str]) -> Typed {
        type_at(&self.folder().join("spool"), words)
    }

    /// Types words whose answer is wanted as JSON, and which succeed.
    #[must_use]
    pub fn ctl_json<A: DeserializeOwned>(&self, words: &[&str]) -> A {
        let typed = self.ctl(&[words, &["-o", "json"]].concat());
        assert!(typed.success, "{words:?}: {typed:?}");
        serde_json::from_str(&typed.out).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", typed.out))
    }
}
