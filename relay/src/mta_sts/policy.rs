//! A policy: which hosts take a domain's mail, and what is done where they do not show who they are (RFC 8461 sections 3.2 and
//! 4.1). Pure.

use crate::smtp::Domain;

/// The longest that a policy is remembered, in seconds: about a year.
const LONGEST_AGE: u64 = 31_557_600;

/// Hosts that a policy may name.
const MOST_HOSTS: usize = 256;

/// What is done with mail for a host that is not the one the policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It waits.
    Enforce,
    /// It goes all the same, and the failure is counted.
    Testing,
    /// It goes: the policy is withdrawn.
    None,
}

/// A domain's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is done.
    pub mode: Mode,
    /// How long it is remembered, in seconds.
    pub max_age: u64,
    /// The patterns of its hosts, in lower case.
    pub hosts: Vec<String>,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line without a colon.
    #[error("line {0} is no field: it has no colon")]
    NoField(usize),
    /// A field that must be there is not.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("its {field} is {value:?}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it says, shortened.
        value: String,
    },
    /// It names more hosts than any domain has.
    #[error("it names more than {MOST_HOSTS} hosts")]
    TooManyHosts,
}

impl Policy {
    /// Reads a policy's text. Fields that are not known are passed over, and of one that is there twice the first counts, but
    /// for `mx`.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        let (mut version, mut mode, mut max_age, mut hosts) = (None, None, None, Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() {
                continue;
            }
            let (field, value) = line.split_once(':').ok_or(PolicyError::NoField(number + 1))?;
            let value = value.trim_matches([' ', '\t']);
            match field {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" => hosts.push(pattern(value)?),
                _ => {}
            }
        }
        match version {
            Some("STSv1") => {}
            Some(value) => return Err(bad("version", value)),
            None => return Err(PolicyError::Missing("version")),
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            Some(value) => return Err(bad("mode", value)),
            None => return Err(PolicyError::Missing("mode")),
        };
        let max_age = max_age.ok_or(PolicyError::Missing("max_age"))?;
        let digits = (1..=10).contains(&max_age.len()) && max_age.bytes().all(|octet| octet.is_ascii_digit());
        let max_age = max_age.parse::<u64>().ok().filter(|_| digits).ok_or_else(|| bad("max_age", max_age))?;
        if hosts.is_empty() && mode != Mode::None {
            return Err(PolicyError::Missing("mx"));
        }
        if hosts.len() > MOST_HOSTS {
            return Err(PolicyError::TooManyHosts);
        }
        Ok(Policy { mode, max_age: max_age.min(LONGEST_AGE), hosts })
    }

    /// Whether an exchanger of this name is one that the policy names. A star stands for one label.
    #[must_use]
    pub fn names(&self, exchanger: &str) -> bool {
        let exchanger = exchanger.trim_end_matches('.').to_ascii_lowercase();
        let parent = exchanger.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(below) => parent == Some(below),
            None => *pattern == exchanger,
        })
    }
}

fn pattern(value: &str) -> Result<String, PolicyError> {
    let name = value.strip_prefix("*.").unwrap_or(value);
    match Domain::parse(name) {
        Ok(domain) if domain.literal().is_none() => {
            Ok(if name.len() == value.len() { domain.as_str().to_owned() } else { format!("*.{domain}") })
        }
        _ => Err(bad("mx", value)),
    }
}

fn bad(field: &'static str, value: &str) -> PolicyError {
    PolicyError::Value { field, value: crate::errors::shortened(value, 64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_is_read_as_it_is_meant() {
        let policy = Policy::parse(GOOD).unwrap();
        let hosts = ["mail.example.com", "*.example.net"].map(str::to_owned).to_vec();
        assert_eq!(policy, Policy { mode: Mode::Enforce, max_age: 604_800, hosts });
        for (text, mode, max_age) in [
            ("version:STSv1\nmode:testing\nmx:a.example\nmax_age:60", Mode::Testing, 60),
            ("version: STSv1\nmode: none\nmax_age: 60", Mode::None, 60),
            ("max_age: 60\nmx: a.example\nmode: enforce\nversion: STSv1", Mode::Enforce, 60),
            ("version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 1\nmax_age: 2", Mode::Enforce, 1),
            (
                "version: STSv1\nmode: enforce \nother: thing\n\nmx: a.example.\t\nmax_age: 9999999999",
                Mode::Enforce,
                LONGEST_AGE,
            ),
        ] {
            let policy = Policy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((policy.mode, policy.max_age), (mode, max_age), "{text}");
        }
    }

    #[test]
    fn what_is_no_policy_says_why() {
        for (text, says) in [
            ("", "it has no version"),
            ("<html>", "line 1 is no field"),
            ("version: STSv2\nmode: none\nmax_age: 1", "its version is \"STSv2\""),
            ("mode: none\nmax_age: 1", "it has no version"),
            ("version: STSv1\nmax_age: 1", "it has no mode"),
            ("version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1", "its mode is \"Enforce\""),
            ("version: STSv1\nmode: none", "it has no max_age"),
            ("version: STSv1\nmode: none\nmax_age: soon", "its max_age is \"soon\""),
            ("version: STSv1\nmode: none\nmax_age: -1", "its max_age is \"-1\""),
            ("version: STSv1\nmode: none\nmax_age: 12345678901", "its max_age is"),
            ("version: STSv1\nmode: enforce\nmax_age: 1", "it has no mx"),
            ("version: STSv1\nmode: enforce\nmx:\nmax_age: 1", "its mx is \"\""),
            ("version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 1", "its mx is \"a..b\""),
            ("version: STSv1\nmode: enforce\nmx: mail.*.example\nmax_age: 1", "its mx is"),
            ("version: STSv1\nmode: enforce\nmx: *\nmax_age: 1", "its mx is \"*\""),
            ("version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 1", "its mx is"),
        ] {
            let error = Policy::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_star_is_one_label() {
        let policy = Policy::parse(GOOD).unwrap();
        for (exchanger, named) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("mx.mail.example.com", false),
            ("example.com", false),
            ("a.example.net", true),
            ("A.EXAMPLE.NET", true),
            ("example.net", false),
            ("a.b.example.net", false),
            ("aexample.net", false),
        ] {
            assert_eq!(policy.names(exchanger), named, "{exchanger}");
        }
    }
}
