//! Why a manifest is refused.

use std::fmt;

/// Something in a manifest that is refused: where it stands, what is wrong with it, and what to write instead.
///
/// Shown as `file:line: path: problem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file, as its [`Source`](super::Source) calls it.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: usize,
    /// The field, as the API server writes it: `spec.windows[0].from`. Empty where it is the document as a whole.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Refusal {}

/// A refusal before it is known in which file it stands.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) problem: String,
}

impl Finding {
    pub(super) fn into_refusal(self, file: &str) -> Refusal {
        Refusal { file: file.to_owned(), line: self.line, path: self.path, problem: self.problem }
    }
}
