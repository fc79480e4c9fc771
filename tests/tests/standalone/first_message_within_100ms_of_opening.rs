//! However many messages wait, the first goes out as soon as the window opens.

use std::time::Duration;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use mailsluice_tests::{load::Load, manifest::Manifest, relay::Relay, scripted::Scripted, setting, wait};

/// What a busy machine that runs other tests too is held to; the product's own promise is 100 ms, and is printed.
const BOUND: SignedDuration = SignedDuration::from_secs(1);

/// Filling the queue takes some time, which must not run into the minute that opens.
const FILL: SignedDuration = SignedDuration::from_secs(20);

#[test]
fn the_first_message_goes_out_at_once_when_the_window_opens() {
    let waiting = setting("MAILSLUICE_TEST_WAITING", 2_000) as usize;
    let host = Scripted::start(|_| None);
    let up = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
    let opens = (Timestamp::now() + FILL).round(up).expect("a full minute");
    let relay = Relay::start(&Manifest::to(host.address).opening_at(opens));
    let load = Load::start(relay.smtp, 20, &["a@one.test", "b@two.test", "c@three.test"]);
    let limit =
        Duration::try_from(opens.duration_since(Timestamp::now()) - SignedDuration::from_secs(2)).expect("ahead");
    let mut filled = 0;
    wait::until_some(limit + Duration::from_secs(1), "the queue is filled", || {
        filled = load.answered();
        (filled >= waiting || Timestamp::now() + SignedDuration::from_secs(2) >= opens).then_some(())
    });
    let answered = load.stop().len();
    assert!(host.heard().is_empty(), "nothing goes out before the window opens");

    let limit =
        Duration::try_from(opens.duration_since(Timestamp::now())).unwrap_or_default() + Duration::from_secs(20);
    let connected = wait::until_some(limit, "the host is called", || host.moments("").first().copied());
    let delivered =
        wait::until_some(Duration::from_secs(20), "a message arrives", || host.moments(".").first().copied());
    let (connected, delivered) = (connected.duration_since(opens), delivered.duration_since(opens));
    println!(
        "{answered} messages waited; after the opening: connected in {connected:#}, the first message over in {delivered:#}"
    );
    assert!(connected >= SignedDuration::ZERO, "connected {connected:#} after the opening");
    assert!(delivered < BOUND, "the first message went out {delivered:#} after the opening");
}
