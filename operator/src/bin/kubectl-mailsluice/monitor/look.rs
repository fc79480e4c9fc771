//! Lines with the looks of their parts, before they are a terminal's or a file's.

use crate::text;

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As all else.
    Plain,
    /// A heading.
    Heading,
    /// Less important.
    Dim,
    /// Asks for attention.
    Alert,
    /// Goes well.
    Well,
    /// The row that keys act on.
    Chosen,
}

/// A line of parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<(Look, String)>);

impl Line {
    /// An empty one.
    pub(crate) fn new() -> Line {
        Line::default()
    }

    /// One with a single part.
    pub(crate) fn of(look: Look, text: impl Into<String>) -> Line {
        Line::new().and(look, text)
    }

    /// With one more part.
    pub(crate) fn and(mut self, look: Look, text: impl Into<String>) -> Line {
        self.0.push((look, text.into()));
        self
    }

    /// Its text, without looks and without spaces at its end.
    pub(crate) fn text(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    /// The same in the look of the chosen row, filled to the width.
    pub(crate) fn chosen(self, width: usize) -> Line {
        let text: String = self.0.into_iter().map(|(_, text)| text).collect();
        Line::of(Look::Chosen, text::fitted(&text, width))
    }
}
