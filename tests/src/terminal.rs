//! A terminal in which a program runs: keys are pressed, and its screen is read. It is one of tmux's.

use std::process::Command;

use crate::process;

/// A terminal, which ends what runs in it when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    server: String,
}

impl Terminal {
    /// Runs a shell's command line in a terminal of so many columns and rows.
    #[must_use]
    pub fn start(line: &str, (columns, rows): (u16, u16)) -> Terminal {
        let terminal = Terminal { server: format!("mailsluice-{}", std::process::id()) };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let new =
            ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, line, ";", "set", "status", "off"];
        process::run(terminal.tmux().args(new));
        terminal
    }

    /// Presses keys, by tmux's names for them: `Down`, `Enter`, `q`.
    pub fn press(&self, keys: &[&str]) {
        process::run(self.tmux().arg("send-keys").args(keys));
    }

    /// What is on the screen, without spaces at the ends of lines.
    #[must_use]
    pub fn screen(&self) -> String {
        process::run(self.tmux().args(["capture-pane", "-p"]))
    }

    /// Of a server of its own.
    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.server]).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended with its program.
        let _ = self.tmux().arg("kill-server").output();
    }
}
