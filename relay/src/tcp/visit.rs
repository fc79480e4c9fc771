//! Leave to connect for a dry run. It asks as mail does and counts into the limit of connections, but is no session of the TCP Schedule: it
//! begins none, prolongs none, and mail does not join it.

use std::sync::Arc;

use jiff::Timestamp;
use mailsluice_crds::{LogLevel, monitor::Reason};

use super::{Gate, Lease, Use, link::Answer};
use crate::{
    ids::SessionId,
    log::{TCP_SMTP, Tag},
    queue::Suspension,
};

/// What a dry run gets when it asks to connect.
pub struct Visit {
    /// What the TCP Schedule says of this moment, in a sentence.
    pub said: String,
    /// What keeps mail of every host from being sent now; none where nothing does.
    pub waits: Option<Suspension>,
    /// Leave to connect; none where it has to wait too.
    pub lease: Option<Lease>,
}

impl Gate {
    /// Asks for a visit to `host`. `regardless`: it is to be granted whatever the TCP Schedule says, which is a record at Major then. The
    /// limit of connections holds all the same.
    #[must_use]
    pub fn visit(self: &Arc<Self>, host: &str, session: SessionId, regardless: bool, now: Timestamp) -> Visit {
        let said = self.timetable(now).said;
        let mut state = self.lock();
        if state.open() >= state.limit {
            let problem = format!("limits.connections is {}, and so many are open", state.limit);
            let waits = Some(Suspension { till: None, reason: Reason::ConnectionsLimited, problem });
            return Visit { said, waits, lease: None };
        }
        let paused =
            state.paused.as_ref().filter(|(paused, _)| paused.till > Some(now)).map(|(paused, _)| paused.clone());
        let waits = paused.or_else(|| match state.link.ask(now) {
            Answer::Open { .. } => None,
            Answer::Wait { suspension, .. } => Some(suspension),
        });
        if waits.is_some() && !regardless {
            return Visit { said, waits, lease: None };
        }
        state.visits += 1;
        drop(state);
        if let Some(waits) = &waits {
            self.log
                .at_host(LogLevel::Major, Tag::Tcp, host)
                .marker(TCP_SMTP)
                .field("event", "Overruled")
                .field("session", session)
                .field("reason", waits.reason.name())
                .say(format_args!("an administrator's dry run connects all the same: {}", waits.problem));
        }
        Visit { said, waits, lease: Some(Lease { gate: self.clone(), of: Use::Visit }) }
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::schedule::{Schedule, TCPScheduleSpec};

    use super::*;
    use crate::{config::TcpSchedule, log::Log, tcp::Permission};

    fn gate(windows: serde_json::Value, limit: u32) -> Arc<Gate> {
        let spec: TCPScheduleSpec = serde_json::from_value(serde_json::json!({"windows": windows})).unwrap();
        let schedule = Schedule::new("s", &spec).unwrap();
        Gate::new(TcpSchedule::Known(Box::new(schedule)), limit, Log::new(std::io::sink()).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn visit(gate: &Arc<Gate>, regardless: bool, now: &str) -> (Option<Reason>, Option<Lease>) {
        let Visit { waits, lease, .. } = gate.visit("a.test", SessionId::next(), regardless, at(now));
        (waits.map(|waits| waits.reason), lease)
    }

    #[test]
    fn a_closed_schedule_stops_a_visit_unless_it_is_overruled() {
        let gate = gate(serde_json::json!([{"from": "08:00", "to": "19:30", "link": "Open"}]), 5);
        for (now, regardless, reason, granted) in [
            ("2090-11-24T12:00:00Z", false, None, true),
            ("2090-11-24T12:00:00Z", true, None, true),
            ("2090-11-24T21:00:00Z", false, Some(Reason::TcpScheduleClosed), false),
            ("2090-11-24T21:00:00Z", true, Some(Reason::TcpScheduleClosed), true),
        ] {
            let (waits, lease) = visit(&gate, regardless, now);
            assert_eq!((waits, lease.is_some()), (reason, granted), "{now} {regardless}");
        }
        assert_eq!(gate.connections(), 0, "visits that are over count no more");
    }

    #[test]
    fn a_visit_takes_a_connection_of_the_limit_and_no_more() {
        let gate = gate(serde_json::json!([{"link": "Open"}]), 1);
        let noon = "2090-11-24T12:00:00Z";
        let (_, first) = visit(&gate, false, noon);
        assert_eq!((first.is_some(), gate.connections(), gate.is_full()), (true, 1, Some(1)));
        assert_eq!(visit(&gate, true, noon).0, Some(Reason::ConnectionsLimited));
        let asked = gate.ask("a.test", SessionId::next(), at(noon));
        assert!(matches!(asked, Permission::NoConnectionLeft));
        drop(first);
        assert!(matches!(gate.ask("a.test", SessionId::next(), at(noon)), Permission::Granted(_)));
    }

    #[test]
    fn a_visit_neither_begins_nor_prolongs_a_session_of_the_schedule() {
        let gate = gate(serde_json::json!([{"link": "Open", "pause": "30m"}]), 5);
        let ask = |now: &str| gate.ask("a.test", SessionId::next(), at(now));
        drop(visit(&gate, false, "2090-11-24T12:00:00Z"));
        let Permission::Granted(lease) = ask("2090-11-24T12:10:00Z") else { panic!("the visit counted as a session") };
        let (_, visiting) = visit(&gate, false, "2090-11-24T12:11:00Z");
        drop(lease);
        drop(visiting);
        // A session ends by the clock on the wall: that is long ago here.
        let Permission::Suspended(wait, _) = ask("2090-11-24T12:20:00Z") else { panic!("it goes on") };
        assert_eq!((wait.reason, wait.till), (Reason::TcpSchedulePause, Some(at("2090-11-24T12:40:00Z"))));
    }
}
