//! The words by which a running relay is asked and told at the terminal: what is typed, what goes to the relay and what comes
//! back, and how that is shown.
//!
//! Two programs have them: `mailsluice-relay ctl` asks a relay over its socket, and `kubectl mailsluice` runs that in each of a
//! relay's pods and shows the answers together.
//!
//! - [`words`]: a file for each word, with its arguments, its question, its answer, and how that is shown to people;
//! - [`target`]: what an action is about; [`line`]: what people write; [`hold`]: who holds mail, since when, and why;
//! - [`trace`]: the life of a message, from log records;
//! - [`output`]: answers as a table, JSON or YAML;
//! - [`completion`]: completion for shells.
//!
//! Nothing here does I/O or reads the clock. A new word is a file in [`words`] and a line in each `match` of [`RelayWord`].

pub mod completion;
pub mod hold;
pub mod line;
pub mod output;
mod table;
pub mod target;
pub mod trace;
pub mod words;

pub use hold::Hold;
pub use line::Line;
pub use output::{Output, Said, Shown};
pub use target::{HostName, MessageId, Target};
pub use words::{Answer, Question, RelayWord, Word, with_examples};
