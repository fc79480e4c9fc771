//! A line that a person writes: their name, or why they do something.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Characters of a line at most: a service account's name in full fits.
const MOST: usize = 500;

/// Text of at least one and at most 500 characters, none of them a control character: it can stand in a record, a report and a
/// terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

/// The text is no line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALine {
    /// Nothing but blanks.
    #[error("write at least a word")]
    Empty,
    /// Too long.
    #[error("write at most {MOST} characters")]
    TooLong,
    /// It has a character that moves a cursor or begins a line.
    #[error("write one line, without control characters")]
    Control,
}

impl Line {
    /// The text made to fit: control characters become blanks, and what is too long is cut.
    #[must_use]
    pub fn fitted(text: &str) -> Line {
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let cut: String = plain.trim().chars().take(MOST).collect();
        Line(if cut.is_empty() { "-".to_owned() } else { cut })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Line {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Line, NotALine> {
        let text = text.trim();
        if text.is_empty() {
            Err(NotALine::Empty)
        } else if text.chars().nth(MOST).is_some() {
            Err(NotALine::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(NotALine::Control)
        } else {
            Ok(Line(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Line {
    type Error = NotALine;

    fn try_from(text: String) -> Result<Line, NotALine> {
        text.parse()
    }
}

impl From<Line> for String {
    fn from(line: Line) -> String {
        line.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_with_something_in_it() {
        assert_eq!("  their server moves ".parse::<Line>().unwrap().as_str(), "their server moves");
        for (text, why) in [
            ("", NotALine::Empty),
            (" \n", NotALine::Empty),
            ("a\nb", NotALine::Control),
            ("a\u{1b}[2J", NotALine::Control),
            ("\u{9b}2J", NotALine::Control),
            (&"x".repeat(501), NotALine::TooLong),
        ] {
            assert_eq!(text.parse::<Line>(), Err(why), "{text:?}");
        }
        assert!("ä".repeat(500).parse::<Line>().is_ok());
        for text in ["", "\n", "a\nb", &"ä".repeat(501)] {
            assert!(Line::fitted(text).as_str().parse::<Line>().is_ok(), "{text:?}");
        }
    }
}
