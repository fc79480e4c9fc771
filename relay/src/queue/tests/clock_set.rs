//! The clock is set back while mail waits.

use super::*;

#[test]
fn whoever_waits_till_a_moment_of_the_old_clock_is_tried_now_but_for_what_is_held() {
    let mut queue = queue();
    queue.configure(Limits { messages_per_minute: Some(1), ..queue.limits });
    let hosts = ["suspended.test", "deferred.test", "counted.test", "held.test"];
    for (id, host) in (1..).zip(hosts) {
        queue.insert(arrival(id, &[host]), START);
    }
    let ids: Vec<HostId> = hosts.iter().map(|_| queue.next_host().unwrap().0).collect();
    queue.suspend(ids[0], closed_till(after(3_700)));
    for id in [ids[1], ids[2]] {
        queue.session_opened(id);
    }
    let work = queue.take(ids[1], after(3_600)).unwrap();
    queue.settle(&work, Settled::Deferred { recipients: Recipients::one(0), till: after(3_700) });
    let work = queue.take(ids[2], after(3_600)).unwrap();
    queue.settle(&work, Settled::Untried);
    assert!(queue.take(ids[2], after(3_600)).is_none(), "it had its message of the minute");
    for id in [ids[1], ids[2]] {
        queue.session_closed(id);
    }
    let hold = mailsluice_ctl::Hold { by: mailsluice_ctl::Line::fitted("alice"), since: START, reason: None };
    let on = mailsluice_ctl::hold::HoldOn { target: "held.test".parse().unwrap(), hold };
    queue.set_holds(Holds::of([on]));

    queue.advance(after(1));
    assert_eq!(queue.next_host(), None, "all of them wait for more than an hour");
    queue.clock_was_set_back("the clock was set back");
    let mut next: Vec<String> = std::iter::from_fn(|| queue.next_host().map(|(_, name)| name.to_owned())).collect();
    next.sort();
    assert_eq!(next, ["counted.test", "deferred.test", "suspended.test"]);
    assert!(queue.take(ids[2], after(1)).is_some(), "its minute is not counted on");
}
