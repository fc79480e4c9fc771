//! Which senders lie within those that are allowed.

/// The part of a pattern that stands for the name of the namespace that asks.
const NAMESPACE: &str = "{namespace}";

/// Senders that are allowed, as one namespace has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The null reverse-path of bounces.
    Null,
    /// Addresses of a domain, or of all below it.
    Of {
        /// The one local part; any, where it is absent.
        local: Option<String>,
        /// Whether the domain is one below `domain`, at any depth.
        below: bool,
        domain: String,
    },
}

impl Pattern {
    /// Reads one, for a namespace.
    pub(super) fn new(text: &str, namespace: &str) -> Pattern {
        let Some((local, domain)) = text.rsplit_once('@') else { return Pattern::Null };
        let domain = match domain.strip_prefix(NAMESPACE) {
            Some(rest) => format!("{namespace}{rest}"),
            None => domain.to_owned(),
        };
        let (below, domain) = match domain.strip_prefix("*.") {
            Some(rest) => (true, rest.to_owned()),
            None => (false, domain),
        };
        Pattern::Of { local: (!local.is_empty()).then(|| local.to_owned()), below, domain }
    }

    /// Whether all of what a client entry's sender allows lies within this.
    pub(super) fn holds(&self, asked: &str) -> bool {
        let Pattern::Of { local, below, domain } = self else { return asked == "<>" };
        let Some((asked_local, asked_domain)) = asked.rsplit_once('@') else { return false };
        // Letter case is looked at as little as where mail is taken.
        let by_local = local.as_ref().is_none_or(|local| local.eq_ignore_ascii_case(asked_local));
        by_local && if *below { is_below(asked_domain, domain) } else { domain.eq_ignore_ascii_case(asked_domain) }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Null => f.write_str("<>"),
            Pattern::Of { local, below, domain } => {
                let star = if *below { "*." } else { "" };
                write!(f, "{}@{star}{domain}", local.as_deref().unwrap_or_default())
            }
        }
    }
}

/// Whether there is at least one label before the parent.
fn is_below(domain: &str, parent: &str) -> bool {
    let (domain, parent) = (domain.to_ascii_lowercase(), parent.to_ascii_lowercase());
    domain.strip_suffix(&parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
}
