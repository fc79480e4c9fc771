//! The link as the TCP Schedule rules it: open, closed, or open for a session every so often. Pure.

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    monitor::{self, Reason},
    schedule::{LinkState, Schedule, Verdict},
};

use super::Timetable;
use crate::{config::TcpSchedule, queue::Suspension};

/// A session every so often is one for all hosts together: it lasts while connections are open, and so much longer, so
/// that hosts which wait for a connection to be free, or answer in turn, still belong to it.
const SESSION_LINGER: SignedDuration = SignedDuration::from_secs(5);

/// What the link answers to a request for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go ahead.
    Open {
        /// The TCP Schedule that was asked.
        schedule: Option<String>,
        /// The rule of it that decided.
        rule: Option<String>,
    },
    /// Wait.
    Wait {
        /// The TCP Schedule that was asked.
        schedule: Option<String>,
        /// The rule of it that decided.
        rule: Option<String>,
        /// Why and till when.
        suspension: Suspension,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    schedule: TcpSchedule,
    /// When the present or last session began. Not kept over a restart: a relay that starts may begin one at once.
    began: Option<Timestamp>,
    /// When the last connection of it closed; none while one is open.
    idle_since: Option<Timestamp>,
    /// The last verdict, which holds from the moment it was asked for until its next change.
    known: Option<(Timestamp, Verdict)>,
}

impl Link {
    pub(super) fn new(schedule: TcpSchedule) -> Self {
        Link { schedule, began: None, idle_since: None, known: None }
    }

    pub(super) fn set_schedule(&mut self, schedule: TcpSchedule) {
        self.schedule = schedule;
        self.known = None;
    }

    pub(super) fn ask(&mut self, now: Timestamp) -> Answer {
        let schedule = match &self.schedule {
            TcpSchedule::None => return Answer::Open { schedule: None, rule: None },
            TcpSchedule::Missing(name) => {
                let suspension = Suspension { till: None, reason: Reason::ScheduleNotFound, problem: missing(name) };
                return Answer::Wait { schedule: Some(name.clone()), rule: None, suspension };
            }
            TcpSchedule::Known(schedule) => schedule,
        };
        let verdict = schedule.verdict(now);
        let name = Some(schedule.name().to_owned());
        let rule = Some(verdict.rule.to_string());
        let next = schedule.next_session(self.began, now);
        let suspension = match verdict.link {
            LinkState::Closed => Suspension {
                till: next,
                reason: Reason::TcpScheduleClosed,
                problem: format!("TCP/IP link is down: {}", schedule.explain(self.began, now)),
            },
            LinkState::Open if self.session_lasts(now) || next.is_some_and(|next| next <= now) => {
                return Answer::Open { schedule: name, rule };
            }
            LinkState::Open => {
                Suspension { till: next, reason: Reason::TcpSchedulePause, problem: schedule.explain(self.began, now) }
            }
        };
        Answer::Wait { schedule: name, rule, suspension }
    }

    /// A connection is granted: it joins the session, or begins one.
    pub(super) fn session_opened(&mut self, now: Timestamp) {
        if !self.session_lasts(now) {
            self.began = Some(now);
        }
        self.idle_since = None;
    }

    pub(super) fn last_session_closed(&mut self, now: Timestamp) {
        self.idle_since = Some(now);
    }

    /// The next session begins as if there had been none.
    pub(super) fn forget_session(&mut self) {
        (self.began, self.idle_since, self.known) = (None, None, None);
    }

    fn session_lasts(&self, now: Timestamp) -> bool {
        self.began.is_some() && self.idle_since.is_none_or(|since| now < since + SESSION_LINGER)
    }

    pub(super) fn timetable(&self, now: Timestamp) -> Timetable {
        Timetable::new(&self.schedule, self.began, now)
    }

    pub(super) fn describe(&mut self, now: Timestamp) -> monitor::Link {
        match &self.schedule {
            TcpSchedule::None => monitor::Link { state: LinkState::Open, schedule: None, changes_at: None },
            TcpSchedule::Missing(name) => {
                monitor::Link { state: LinkState::Closed, schedule: Some(name.clone()), changes_at: None }
            }
            TcpSchedule::Known(schedule) => {
                let (state, changes_at) = verdict(&mut self.known, schedule, now);
                monitor::Link { state, schedule: Some(schedule.name().to_owned()), changes_at }
            }
        }
    }
}

/// The problem of mail that a TCP Schedule holds which is not there.
pub(super) fn missing(name: &str) -> String {
    format!(
        "mail is held: the relay refers to TCP Schedule {name}, which does not exist; create it, or correct scheduleRef"
    )
}

/// The link's state and its next change; asked before every message, so the schedule is only asked when that has passed.
fn verdict(
    known: &mut Option<(Timestamp, Verdict)>,
    schedule: &Schedule,
    now: Timestamp,
) -> (LinkState, Option<Timestamp>) {
    let holds = |(since, verdict): &&(Timestamp, Verdict)| {
        *since <= now && verdict.changes_at.is_none_or(|changes_at| now < changes_at)
    };
    if let Some((_, verdict)) = known.as_ref().filter(holds) {
        return (verdict.link, verdict.changes_at);
    }
    let fresh = schedule.verdict(now);
    let answer = (fresh.link, fresh.changes_at);
    *known = Some((now, fresh));
    answer
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::schedule::TCPScheduleSpec;

    use super::*;

    fn link(manifest: serde_json::Value) -> Link {
        let spec: TCPScheduleSpec = serde_json::from_value(manifest).unwrap();
        Link::new(TcpSchedule::Known(Box::new(Schedule::new("s", &spec).unwrap())))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn wait(answer: Answer) -> Suspension {
        match answer {
            Answer::Wait { suspension, .. } => suspension,
            Answer::Open { .. } => panic!("the link was open"),
        }
    }

    #[test]
    fn a_closed_link_suspends_till_it_opens() {
        let mut link = link(serde_json::json!({"windows": [{"from": "08:00", "to": "19:30", "link": "Open"}]}));
        let held = wait(link.ask(at("2026-11-23T21:40:00Z")));
        assert_eq!((held.till, held.reason), (Some(at("2026-11-24T08:00:00Z")), Reason::TcpScheduleClosed));
        assert!(held.problem.starts_with("TCP/IP link is down: TCP Schedule s "), "{}", held.problem);
        assert!(matches!(link.ask(at("2026-11-24T08:00:00Z")), Answer::Open { .. }));
    }

    #[test]
    fn a_link_that_never_opens_holds() {
        assert_eq!(wait(link(serde_json::json!({})).ask(at("2026-11-23T21:40:00Z"))).till, None);
    }

    #[test]
    fn a_missing_schedule_holds_and_is_named() {
        let mut link = Link::new(TcpSchedule::Missing("office-hours".into()));
        let held = wait(link.ask(at("2026-11-23T21:40:00Z")));
        assert_eq!((held.till, held.reason), (None, Reason::ScheduleNotFound));
        assert!(held.problem.contains("office-hours"), "{}", held.problem);
        assert_eq!(link.describe(at("2026-11-23T21:40:00Z")).state, LinkState::Closed);
    }

    #[test]
    fn a_session_of_a_clock_that_was_set_back_is_none() {
        let mut link = link(serde_json::json!({"windows": [{"link": "Open", "pause": "30m"}]}));
        let start = at("2026-11-23T12:00:00Z");
        let minute = |n| start + SignedDuration::from_mins(n);
        link.session_opened(minute(60));
        link.last_session_closed(minute(61));
        link.forget_session();
        assert!(matches!(link.ask(start), Answer::Open { .. }));
        link.session_opened(start);
        link.last_session_closed(minute(5));
        assert_eq!(wait(link.ask(minute(6))).till, Some(minute(30)));
    }

    #[test]
    fn with_a_pause_hosts_share_a_session_and_the_next_one_waits() {
        let mut link = link(serde_json::json!({"windows": [{"link": "Open", "pause": "30m"}]}));
        let start = at("2026-11-23T12:00:00Z");
        assert!(matches!(link.ask(start), Answer::Open { .. }));
        link.session_opened(start);
        let minute = |n| start + SignedDuration::from_mins(n);
        assert!(matches!(link.ask(minute(3)), Answer::Open { .. }), "another host joins the session that is open");
        link.session_opened(minute(3));
        link.last_session_closed(minute(5));
        assert!(matches!(link.ask(minute(5) + SignedDuration::from_secs(4)), Answer::Open { .. }), "within the linger");
        let held = wait(link.ask(minute(6)));
        assert_eq!((held.till, held.reason), (Some(minute(30)), Reason::TcpSchedulePause));
        assert!(matches!(link.ask(minute(30)), Answer::Open { .. }));
        link.session_opened(minute(30));
        link.last_session_closed(minute(30));
        assert_eq!(wait(link.ask(minute(31))).till, Some(minute(60)), "counted from where the session began");
    }

    #[test]
    fn what_the_monitor_shows_follows_the_schedule() {
        let mut link = link(serde_json::json!({"windows": [{"from": "08:00", "to": "19:30", "link": "Open"}]}));
        for (moment, state, changes_at) in [
            ("2026-11-23T07:00:00Z", LinkState::Closed, "2026-11-23T08:00:00Z"),
            ("2026-11-23T08:00:00Z", LinkState::Open, "2026-11-23T19:30:00Z"),
            ("2026-11-23T19:29:59Z", LinkState::Open, "2026-11-23T19:30:00Z"),
            ("2026-11-23T19:30:00Z", LinkState::Closed, "2026-11-24T08:00:00Z"),
            ("2026-11-23T07:30:00Z", LinkState::Closed, "2026-11-23T08:00:00Z"),
        ] {
            let shown = link.describe(at(moment));
            assert_eq!((shown.state, shown.changes_at), (state, Some(at(changes_at))), "{moment}");
        }
    }
}
