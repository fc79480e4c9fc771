//! What a TCPSchedule says of a moment and of what comes after it.

use jiff::Timestamp;

use super::{Decision, LinkState, Rule, Schedule, moments};
use crate::quantity::Interval;

/// What a TCPSchedule says of a moment, and when its link changes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether connections may be opened.
    pub link: LinkState,
    /// What decided it.
    pub rule: Rule,
    /// In an open link: a session may begin so long after the one before it began.
    pub pause: Option<Interval>,
    /// When the link changes next from Open to Closed or back; `None` when it never does.
    pub changes_at: Option<Timestamp>,
}

impl Schedule {
    /// What the schedule says of a moment, and when its link changes next.
    #[must_use]
    pub fn verdict(&self, at: Timestamp) -> Verdict {
        let Decision { link, rule, pause } = self.decide(at);
        Verdict { link, rule, pause, changes_at: self.changes_after(at, link) }
    }

    /// The earliest moment, not before `at`, at which a session may begin; `None` when there is none.
    ///
    /// The link must be open then, and where the rule that decides then has a pause, so much time must have passed since
    /// the last session began. A last session that lies more than a pause in the future does not count: the clock was
    /// set back, and mail must not wait until it has caught up.
    #[must_use]
    pub fn next_session(&self, last_began: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
        let paused_till = |pause: Option<Interval>| match (last_began, pause) {
            (Some(began), Some(pause)) if began <= moments::later(at, pause.duration()) => {
                moments::later(began, pause.duration())
            }
            _ => at,
        };
        let longest = self.rules().filter_map(|rule| rule.pause).max();
        let through = longest.map_or(at, |longest| {
            self.rules()
                .map(|rule| paused_till(rule.pause))
                .max()
                .unwrap_or(at)
                .max(moments::later(at, longest.duration()))
        });
        let mut stretch = (at, self.decide(at));
        let mut next = moments::after(self, at, through);
        loop {
            let end = next.next();
            let (begin, decision) = &stretch;
            if decision.link == LinkState::Open {
                let allowed = paused_till(decision.pause).max(*begin);
                if end.is_none_or(|end| allowed < end) {
                    return Some(allowed);
                }
            }
            let end = end?;
            stretch = (end, self.decide(end));
        }
    }

    fn changes_after(&self, at: Timestamp, link: LinkState) -> Option<Timestamp> {
        if self.never_changes() {
            return None;
        }
        moments::after(self, at, at).find(|moment| self.decide(*moment).link != link)
    }
}
