//! A topic with all that the catalogue says of it, fit to be shown or written as JSON.

use std::fmt;

use serde::Serialize;

use super::{
    Code, Enhanced, Entry, Topic,
    enhanced::of_subject,
    find,
    reason::{ProblemReason, Reason, ReasonEntry, Scope},
    reply::of_class,
};

/// Of what kind a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// Why a host's mail waits.
    Reason,
    /// What hinders a relay as a whole.
    RelayProblem,
    /// An errno.
    System,
    /// DNS and routes.
    Route,
    /// A fault of TLS.
    Tls,
    /// An alert of TLS.
    TlsAlert,
    /// Logging in at a smarthost.
    Auth,
    /// An SMTP reply.
    Reply,
    /// An enhanced status code.
    EnhancedStatus,
    /// Mailsluice's own.
    Own,
}

impl Kind {
    /// What stands above all of the kind.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Kind::Reason => "Reasons of a host's row",
            Kind::RelayProblem => "Problems of a relay as a whole",
            Kind::System => "Errors of the operating system",
            Kind::Route => "DNS and routes",
            Kind::Tls => "Faults of TLS",
            Kind::TlsAlert => "Alerts of TLS",
            Kind::Auth => "Logging in at smarthosts",
            Kind::Reply => "Replies of SMTP",
            Kind::EnhancedStatus => "Enhanced status codes",
            Kind::Own => "Mailsluice's own",
        }
    }

    /// One of the kind, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Kind::Reason => "reason of a host's row",
            Kind::RelayProblem => "problem of a relay",
            Kind::System => "error of the system",
            Kind::Route => "DNS and routes",
            Kind::Tls => "fault of TLS",
            Kind::TlsAlert => "alert of TLS",
            Kind::Auth => "logging in",
            Kind::Reply => "reply of SMTP",
            Kind::EnhancedStatus => "enhanced status of SMTP",
            Kind::Own => "Mailsluice's own",
        }
    }
}

/// All that the catalogue says of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The reason, or the code.
    pub name: String,
    /// Of what kind it is.
    pub kind: Kind,
    /// The errno or the alert's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// The name that a standard gives it beside its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it means.
    pub meaning: String,
    /// What waits for a reason, the widest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<Scope>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// What usually causes a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do.
    pub advice: String,
}

/// As the terminal shows it: a line of what it is, and a line for each thing to say of it.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.title, self.number) {
            (Some(title), _) => write!(f, " ({title})")?,
            (None, Some(number)) => write!(f, " ({number})")?,
            (None, None) => {}
        }
        writeln!(f, ", {}", self.kind.words())?;
        let scope: Vec<&str> = self.scope.iter().map(|scope| scope.name()).collect();
        let scope = Some(scope.join(", ")).filter(|scope| !scope.is_empty());
        for (label, text) in [
            ("Means", Some(&self.meaning)),
            ("Scope", scope.as_ref()),
            ("Cause", self.cause.as_ref()),
            ("Retry", self.retry.as_ref()),
            ("To do", Some(&self.advice)),
        ] {
            if let Some(text) = text {
                writeln!(f, "  {label}:  {text}")?;
            }
        }
        Ok(())
    }
}

impl Topic {
    /// What the catalogue says of it.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        match self {
            Topic::Reason(reason) => of_reason(reason.name(), Kind::Reason, reason.entry()),
            Topic::Problem(problem) => of_reason(problem.name(), Kind::RelayProblem, problem.entry()),
            Topic::Enhanced(enhanced) => of_enhanced(*enhanced),
            Topic::Code(code) => of_code(code),
        }
    }
}

/// The whole catalogue: reasons first, then the codes by their kinds, and what is said of those that are not known.
#[must_use]
pub fn explain_all() -> Vec<Explanation> {
    let mut all: Vec<Explanation> = Reason::ALL.into_iter().map(|reason| Topic::Reason(reason).explain()).collect();
    all.extend(ProblemReason::ALL.into_iter().map(|problem| Topic::Problem(problem).explain()));
    all.extend(Code::all().map(|code| of_code(&code)));
    all.extend([2_u8, 3, 4, 5].map(|class| named(&format!("{class}yz"), Kind::Reply, of_class(class))));
    all.extend(Enhanced::all().map(|(subject, detail)| of_detail(subject, detail)));
    all.extend((0..=7).map(|subject| named(&format!("X.{subject}.*"), Kind::EnhancedStatus, of_subject(subject))));
    all.push(named("errno N", Kind::System, super::errno::OTHER));
    all.push(named("TLS_ALERT N", Kind::TlsAlert, super::alert::OTHER));
    all.sort_by_key(|explanation| explanation.kind);
    all
}

fn of_reason(name: &str, kind: Kind, entry: ReasonEntry) -> Explanation {
    Explanation {
        scope: entry.scope.to_vec(),
        retry: Some(entry.retry.to_owned()),
        cause: None,
        ..named(name, kind, Entry { meaning: entry.meaning, cause: "", advice: entry.advice })
    }
}

fn of_code(code: &Code) -> Explanation {
    let kind = match code {
        Code::System(_) => Kind::System,
        Code::Route(_) => Kind::Route,
        Code::Tls(_) => Kind::Tls,
        Code::Alert(_) => Kind::TlsAlert,
        Code::Auth(_) => Kind::Auth,
        Code::Reply(_) => Kind::Reply,
        Code::Own(_) | Code::Foreign(_) => Kind::Own,
    };
    let mut explanation = named(&code.name(), kind, code.entry());
    match code {
        Code::System(errno) => explanation.number = Some(errno.number()),
        Code::Alert(alert) => {
            explanation.number = Some(i32::from(alert.number()));
            explanation.title = Some(alert.name());
        }
        Code::Reply(reply) => {
            explanation.retry = retry(reply.class());
            if let Some(enhanced) = reply.enhanced() {
                explanation.title = enhanced.title().map(str::to_owned);
                explanation.meaning =
                    format!("{}: {} {enhanced}: {}", reply.code(), reply.entry().meaning, enhanced.entry().meaning);
            }
        }
        Code::Route(_) | Code::Tls(_) | Code::Auth(_) | Code::Own(_) | Code::Foreign(_) => {}
    }
    explanation
}

fn of_enhanced(enhanced: Enhanced) -> Explanation {
    Explanation {
        name: enhanced.to_string(),
        retry: retry(enhanced.class),
        title: enhanced.title().map(str::to_owned),
        ..named("", Kind::EnhancedStatus, enhanced.entry())
    }
}

/// As the registry writes it, for every class.
fn of_detail(subject: u16, detail: u16) -> Explanation {
    let of = Enhanced { class: 5, subject, detail };
    Explanation { name: format!("X.{subject}.{detail}"), retry: None, ..of_enhanced(of) }
}

fn retry(class: u8) -> Option<String> {
    match class {
        4 => Some("It is tried again, until it expires.".to_owned()),
        5 => Some("Never for this recipient or message, which goes back to its sender; a host that says so to the session itself is tried again.".to_owned()),
        _ => None,
    }
}

fn named(name: &str, kind: Kind, entry: Entry) -> Explanation {
    Explanation {
        name: name.to_owned(),
        kind,
        number: None,
        title: None,
        meaning: entry.meaning.to_owned(),
        scope: Vec::new(),
        retry: None,
        cause: Some(entry.cause.to_owned()),
        advice: entry.advice.to_owned(),
    }
}

/// The names by which something can be asked for.
pub(super) fn names() -> impl Iterator<Item = String> {
    find::all().map(|topic| topic.explain().name)
}
