//! The table: what was asked for, what was seen, and whether that is enough.

use std::fmt;

use crate::mta::Who;

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The work, and what of it is measured.
    pub(crate) what: String,
    /// What is asked for.
    pub(crate) goal: String,
    /// What ours came to.
    pub(crate) ours: String,
    /// What the others came to.
    pub(crate) theirs: Vec<(Who, String)>,
    /// Ours to Postfix's, where that says something.
    pub(crate) ratio: Option<f64>,
    /// Whether the goal is met; none where it is no goal.
    pub(crate) met: Option<bool>,
}

impl Line {
    /// A line without others.
    pub(crate) fn new(what: impl Into<String>, goal: impl Into<String>, ours: impl Into<String>) -> Line {
        Line { what: what.into(), goal: goal.into(), ours: ours.into(), theirs: Vec::new(), ratio: None, met: None }
    }

    /// Whether that is enough.
    pub(crate) fn met(mut self, met: bool) -> Line {
        self.met = Some(met);
        self
    }

    /// What another came to.
    pub(crate) fn beside(mut self, who: Who, text: impl Into<String>) -> Line {
        self.theirs.push((who, text.into()));
        self
    }

    /// Ours to Postfix's.
    pub(crate) fn ratio(mut self, ratio: f64) -> Line {
        self.ratio = Some(ratio).filter(|ratio| ratio.is_finite());
        self
    }
}

/// The header of the table.
pub(crate) const HEADER: &str = "| work | goal | Mailsluice | Postfix | Exim | earlier build | to Postfix | |\n| --- | --- | --- | --- | --- | --- | --- | --- |";

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |who: Who| self.theirs.iter().find(|(other, _)| *other == who).map_or("", |(_, text)| text);
        let ratio = self.ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default();
        let met = match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "**missed**",
        };
        let Line { what, goal, ours, .. } = self;
        let [postfix, exim, earlier] = [Who::Postfix, Who::Exim, Who::Earlier].map(of);
        write!(f, "| {what} | {goal} | {ours} | {postfix} | {exim} | {earlier} | {ratio} | {met} |")
    }
}

/// The middle of several figures.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With a comma for the thousands.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Octets in megabytes.
pub(crate) fn megabytes(octets: u64) -> String {
    format!("{:.1} MB", octets as f64 / 1e6)
}

/// In milliseconds.
pub(crate) fn milliseconds(time: std::time::Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
