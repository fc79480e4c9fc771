//! Whether this pod stays, and who its siblings are.
//!
//! Pods of a StatefulSet are numbered, and a smaller one is without those of the highest numbers. The operator writes how many stay into
//! a file beside the manifests before it takes any away; a pod that is replaced, or whose node is drained, finds itself among those that
//! stay, and keeps its mail on its claim.

use std::{fs, path::PathBuf, str::FromStr};

/// The file, beside the first manifest, with the number of pods that stay.
pub const REPLICAS_FILE: &str = "replicas";

/// What stands for a sibling's number.
const NUMBER: &str = "{n}";

/// Where siblings are, by their number: `outbound-{n}.outbound-pods:8025`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// The text is no such pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not say where siblings are: write host and port with {{n}} for the number, as in outbound-{{n}}.outbound-pods:8025"
)]
pub struct NotAPattern(String);

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let has_port = text
            .replace(NUMBER, "0")
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if has_port && text.contains(NUMBER) { Ok(Pattern(text.to_owned())) } else { Err(NotAPattern(text.to_owned())) }
    }
}

impl Pattern {
    fn of(&self, number: u32) -> String {
        self.0.replace(NUMBER, &number.to_string())
    }
}

/// What becomes of this pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It stays.
    Stays,
    /// It is scaled away, and these stay; none, where all go.
    Leaves {
        /// Host and port of each.
        siblings: Vec<String>,
    },
}

/// Where a pod among its siblings looks for its place.
#[derive(Debug, Clone)]
pub struct Siblings {
    pattern: Pattern,
    own: Option<u32>,
    file: PathBuf,
}

impl Siblings {
    /// The pod of that name, with its manifests in `folder`.
    #[must_use]
    pub fn new(pattern: Pattern, pod: &str, folder: &std::path::Path) -> Siblings {
        Siblings { pattern, own: number(pod), file: folder.join(REPLICAS_FILE) }
    }

    /// This pod's place now.
    #[must_use]
    pub fn place(&self) -> Place {
        // Without a number in the file nobody says that anybody leaves.
        let stay = fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse().ok());
        decide(&self.pattern, self.own, stay)
    }
}

/// The number at the end of a pod's name.
#[must_use]
pub fn number(pod: &str) -> Option<u32> {
    let name = pod.split('.').next().unwrap_or_default();
    name.rsplit_once('-')?.1.parse().ok()
}

fn decide(pattern: &Pattern, own: Option<u32>, stay: Option<u32>) -> Place {
    match (own, stay) {
        (Some(own), Some(stay)) if own >= stay => {
            Place::Leaves { siblings: (0..stay).map(|number| pattern.of(number)).collect() }
        }
        _ => Place::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern {
        "outbound-{n}.outbound-pods:8025".parse().unwrap()
    }

    #[test]
    fn pods_beyond_those_that_stay_leave_and_no_others() {
        let leaves = |siblings: &[&str]| Place::Leaves { siblings: siblings.iter().map(|s| (*s).to_owned()).collect() };
        let (zero, one) = ("outbound-0.outbound-pods:8025", "outbound-1.outbound-pods:8025");
        for (pod, stay, place) in [
            ("outbound-0", Some(1), Place::Stays),
            ("outbound-1", Some(2), Place::Stays),
            ("outbound-1", Some(1), leaves(&[zero])),
            ("outbound-4.outbound-pods", Some(2), leaves(&[zero, one])),
            ("outbound-0", Some(0), leaves(&[])),
            ("outbound-1", None, Place::Stays),
            ("mail.example.org", Some(0), Place::Stays),
            ("out-bound", Some(0), Place::Stays),
        ] {
            assert_eq!(decide(&pattern(), number(pod), stay), place, "{pod} of {stay:?}");
        }
    }

    #[test]
    fn a_pattern_names_a_port_and_has_a_place_for_the_number() {
        for (text, good) in [
            ("outbound-{n}.outbound-pods:8025", true),
            ("127.0.0.1:2000{n}", true),
            ("outbound-0:8025", false),
            ("outbound-{n}", false),
            (":{n}", false),
            ("outbound-{n}:http", false),
        ] {
            assert_eq!(text.parse::<Pattern>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_sends_nobody_away() {
        let folder = tempfile::tempdir().unwrap();
        let siblings = Siblings::new(pattern(), "outbound-1", folder.path());
        assert_eq!(siblings.place(), Place::Stays);
        for (text, stays) in [("", true), ("many", true), ("2\n", true), ("1\n", false)] {
            fs::write(folder.path().join(REPLICAS_FILE), text).unwrap();
            assert_eq!(siblings.place() == Place::Stays, stays, "{text:?}");
        }
    }
}
