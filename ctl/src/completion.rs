//! Completion for shells.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Writes what a shell reads to complete words and options.
#[derive(Clone, Debug, Args)]
pub struct Completion {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// The script for the program `name`, whose command line is `command`.
    #[must_use]
    pub fn script(&self, mut command: Command, name: &str) -> Vec<u8> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, name, &mut script);
        script
    }
}
