//! Which notices become Events, which are counted with one that was told, and which are too many (pure).
//!
//! As the recorder of Kubernetes' own components does it: what is told again while it is fresh is counted in the `series` of the first Event,
//! which costs a patch now and then and no object; and an object that has ever more to tell runs out of Events. All of it is bounded.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// What has not been told again for so long is news the next time.
const FRESH: Duration = Duration::from_secs(6 * 60);
/// A series is written so often at most.
const PAUSE: Duration = Duration::from_secs(10);
/// Events about one object that may be told at once.
const BURST: u32 = 25;
/// And one more after this long.
const REFILL: Duration = Duration::from_secs(5 * 60);
/// Series, and objects, that are remembered at most.
const REMEMBERED: usize = 4_096;

/// Notices that are alike in all of this are one Event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The object's uid.
    pub(super) object: String,
    pub(super) warning: bool,
    pub(super) condition: String,
    pub(super) reason: String,
    /// The host, for instance.
    pub(super) subject: String,
}

/// What becomes of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told, as an Event of that name.
    Tell(String),
    /// It is counted with the Event that told of it.
    Counted,
    /// There are too many about the object.
    Withheld,
}

/// A series that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writing {
    pub(super) key: Key,
    pub(super) namespace: String,
    /// The Event's name.
    pub(super) name: String,
    pub(super) count: i32,
    pub(super) last_observed: Timestamp,
}

/// What was told of late.
#[derive(Debug, Default)]
pub(super) struct Series {
    told: HashMap<Key, Told>,
    /// When each object that was told of has all its Events again.
    full_again: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Told {
    namespace: String,
    name: String,
    count: i32,
    last_observed: (Timestamp, Instant),
    /// The count that the Event has, and since when.
    written: (i32, Instant),
}

impl Series {
    /// Notes that there is something to tell about the object of that name.
    pub(super) fn note(&mut self, key: Key, object: (&str, &str), now: (Timestamp, Instant)) -> Verdict {
        self.forget_stale(now.1);
        if let Some(told) = self.told.get_mut(&key) {
            told.count = told.count.saturating_add(1);
            told.last_observed = now;
            return Verdict::Counted;
        }
        if !self.may_tell(&key.object, now.1) {
            return Verdict::Withheld;
        }
        if self.told.len() >= REMEMBERED {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.last_observed.1).map(|(key, _)| key.clone());
            oldest.map(|key| self.told.remove(&key));
        }
        let (namespace, name) = object;
        let name = format!("{name}.{:x}", now.0.as_nanosecond());
        let told = Told {
            namespace: namespace.to_owned(),
            name: name.clone(),
            count: 1,
            last_observed: now,
            // The first time that it is told again is worth a write at once.
            written: (1, now.1.checked_sub(PAUSE).unwrap_or(now.1)),
        };
        self.told.insert(key, told);
        Verdict::Tell(name)
    }

    /// The Event is not there: what it told of is news the next time.
    pub(super) fn lost(&mut self, key: &Key) {
        self.told.remove(key);
    }

    /// The series whose Events show too small a count; taken to be written. `all`: however short a while ago they were last.
    pub(super) fn due(&mut self, now: Instant, all: bool) -> Vec<Writing> {
        let behind = self.told.iter_mut().filter(|(_, told)| {
            told.count > told.written.0 && (all || now.saturating_duration_since(told.written.1) >= PAUSE)
        });
        let due = behind.map(|(key, told)| {
            told.written = (told.count, now);
            Writing {
                key: key.clone(),
                namespace: told.namespace.clone(),
                name: told.name.clone(),
                count: told.count,
                last_observed: told.last_observed.0,
            }
        });
        let due = due.collect();
        self.forget_stale(now);
        due
    }

    /// Forgets what has not been told again for long, and objects that have all their Events again.
    fn forget_stale(&mut self, now: Instant) {
        self.told.retain(|_, told| {
            now.saturating_duration_since(told.last_observed.1) < FRESH || told.count > told.written.0
        });
        self.full_again.retain(|_, at| *at > now);
    }

    /// Whether the object has an Event left; takes it.
    fn may_tell(&mut self, object: &str, now: Instant) -> bool {
        let full_again = self.full_again.get(object).copied().unwrap_or(now).max(now);
        if full_again.saturating_duration_since(now) > REFILL * (BURST - 1) {
            return false;
        }
        // An object more than can be remembered is let through: that is a busy cluster, not one object's flood.
        if self.full_again.len() < REMEMBERED || self.full_again.contains_key(object) {
            self.full_again.insert(object.to_owned(), full_again + REFILL);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(object: &str, reason: &str, subject: &str) -> Key {
        Key {
            object: object.into(),
            warning: true,
            condition: "Delivering".into(),
            reason: reason.into(),
            subject: subject.into(),
        }
    }

    /// A clock that is moved by hand.
    struct Clock(Timestamp, Instant);

    impl Clock {
        fn start() -> Clock {
            Clock(Timestamp::UNIX_EPOCH, Instant::now() + FRESH)
        }

        fn wait(&mut self, time: Duration) {
            self.0 += time;
            self.1 += time;
        }

        fn now(&self) -> (Timestamp, Instant) {
            (self.0, self.1)
        }
    }

    const OUTBOUND: (&str, &str) = ("shop", "outbound");

    fn counts(due: &[Writing]) -> Vec<i32> {
        due.iter().map(|writing| writing.count).collect()
    }

    #[test]
    fn what_is_told_again_is_counted_with_the_first_and_written_now_and_then() {
        let (mut series, mut clock) = (Series::default(), Clock::start());
        let closed = || key("u1", "TcpScheduleClosed", "example.com");
        let Verdict::Tell(name) = series.note(closed(), OUTBOUND, clock.now()) else { panic!("it is not told") };
        assert_eq!(series.due(clock.1, false), [], "the first time is no series");
        for (seconds, written) in [(1, vec![2]), (1, vec![]), (7, vec![]), (2, vec![5]), (10, vec![6])] {
            clock.wait(Duration::from_secs(seconds));
            assert_eq!(series.note(closed(), OUTBOUND, clock.now()), Verdict::Counted);
            let due = series.due(clock.1, false);
            assert_eq!(counts(&due), written, "at {}", clock.0);
            for writing in due {
                assert_eq!((writing.namespace.as_str(), &writing.name), ("shop", &name));
                assert_eq!((writing.last_observed, writing.key), (clock.0, closed()));
            }
        }
        series.note(closed(), OUTBOUND, clock.now());
        assert_eq!(counts(&series.due(clock.1, true)), [7], "what is left is written at the end");
        assert_eq!(series.due(clock.1, true), []);
    }

    #[test]
    fn another_object_reason_or_host_is_another_event() {
        let (mut series, clock) = (Series::default(), Clock::start());
        let normal = Key { warning: false, ..key("u1", "HostsSuspended", "example.com") };
        let other = Key { condition: "Ready".into(), ..key("u1", "HostsSuspended", "example.com") };
        for (name, key, told) in [
            ("the first", key("u1", "HostsSuspended", "example.com"), true),
            ("the same", key("u1", "HostsSuspended", "example.com"), false),
            ("another host", key("u1", "HostsSuspended", "example.org"), true),
            ("another reason", key("u1", "TcpScheduleClosed", "example.com"), true),
            ("another object", key("u2", "HostsSuspended", "example.com"), true),
            ("good news", normal, true),
            ("another condition", other, true),
            ("the second again", key("u1", "HostsSuspended", "example.org"), false),
        ] {
            let verdict = series.note(key, OUTBOUND, clock.now());
            assert_eq!(matches!(verdict, Verdict::Tell(_)), told, "{name}: {verdict:?}");
        }
    }

    #[test]
    fn what_was_told_long_ago_or_is_lost_is_news() {
        let (mut series, mut clock) = (Series::default(), Clock::start());
        let closed = || key("u1", "TcpScheduleClosed", "example.com");
        let tell = |series: &mut Series, clock: &Clock| match series.note(closed(), OUTBOUND, clock.now()) {
            Verdict::Tell(name) => Some(name),
            Verdict::Counted | Verdict::Withheld => None,
        };
        let first = tell(&mut series, &clock).expect("an Event");
        clock.wait(FRESH - Duration::from_secs(1));
        assert_eq!(tell(&mut series, &clock), None);
        clock.wait(FRESH);
        assert_eq!(counts(&series.due(clock.1, false)), [2], "what is not written yet is not forgotten");
        let second = tell(&mut series, &clock).expect("an Event");
        assert_ne!(first, second);
        series.lost(&closed());
        clock.wait(Duration::from_secs(1));
        let third = tell(&mut series, &clock).expect("an Event");
        assert_ne!(second, third);
    }

    #[test]
    fn an_object_that_has_ever_more_to_tell_runs_out_of_events_and_others_do_not() {
        let (mut series, mut clock) = (Series::default(), Clock::start());
        let host = |number: u32| key("u1", "HostsSuspended", &format!("{number}.example.com"));
        let told = |series: &mut Series, clock: &Clock, numbers: std::ops::Range<u32>| {
            let verdicts = numbers.map(|number| series.note(host(number), OUTBOUND, clock.now()));
            verdicts.filter(|verdict| matches!(verdict, Verdict::Tell(_))).count()
        };
        assert_eq!(told(&mut series, &clock, 0..1_000), 25);
        let other = series.note(key("u2", "HostsSuspended", "example.com"), ("shop", "other"), clock.now());
        assert!(matches!(other, Verdict::Tell(_)), "{other:?}");
        assert_eq!(series.note(host(7), OUTBOUND, clock.now()), Verdict::Counted, "what was told is still counted");
        clock.wait(REFILL);
        assert_eq!(told(&mut series, &clock, 1_000..1_100), 1);
        clock.wait(REFILL * 100);
        assert_eq!(told(&mut series, &clock, 2_000..3_000), 25, "no more than that, however long it was quiet");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut series, mut clock) = (Series::default(), Clock::start());
        for number in 0..=u32::try_from(REMEMBERED).unwrap() {
            clock.wait(Duration::from_millis(1));
            let key = key(&format!("u{number}"), "TcpScheduleClosed", "");
            assert!(matches!(series.note(key, OUTBOUND, clock.now()), Verdict::Tell(_)), "relay {number}");
        }
        assert_eq!((series.told.len(), series.full_again.len()), (REMEMBERED, REMEMBERED));
        assert!(!series.told.contains_key(&key("u0", "TcpScheduleClosed", "")), "the one longest ago makes room");
        clock.wait(REFILL * 2);
        series.due(clock.1, false);
        assert_eq!((series.told.len(), series.full_again.len()), (0, 0));
    }
}
