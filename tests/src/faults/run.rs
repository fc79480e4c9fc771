//! All rows beside each other: their faults are made, seen, explained and ended, and their mail goes.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    make::{EXPIRE_AFTER, await_pause},
    row::{Cause, Ending, Gate, Own, Path, Row, Seen},
    stable::stable,
    watch::{Sighting, look},
    world::{Place, RETRY, World},
};
use crate::{process, record::Record, relay::program};

/// How soon a fault has to be seen. Three seconds are promised and shown; only more than a busy machine explains is wrong.
const SOON: Duration = Duration::from_secs(10);
/// How long everything is watched at the most, before it counts as never seen.
const WATCH: Duration = Duration::from_secs(60);
/// How soon mail is there when its next attempt is due; it takes a moment, and only more than a busy machine explains is wrong.
const DELIVERY: Duration = Duration::from_secs(10);
/// How long an attempt that hangs where its fault has just ended takes to see that: SYN is sent again after 16 seconds at the
/// latest, a question to a DNS server sooner.
const HANGING: Duration = Duration::from_secs(20);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// What came of a row.
#[derive(Debug)]
pub struct Report {
    /// The row.
    pub row: Row,
    /// What was seen first, and at the end where more came.
    pub seen: Vec<Sighting>,
    /// The record of the log that says so.
    pub record: Option<String>,
    /// How long after the fault it was seen.
    pub took: Option<Duration>,
    /// How long after its next attempt was due the mail had arrived.
    pub flowed: Option<Duration>,
    /// What was not as it should be.
    pub wrong: Vec<String>,
}

/// How far a row has come.
pub(super) struct Track {
    sent: Timestamp,
    sent_at: Instant,
    /// What came of it so far.
    pub(super) report: Report,
    last: String,
    neighbour: bool,
    done: bool,
}

/// Runs the rows.
#[must_use]
pub fn run(rows: &[Row]) -> Vec<Report> {
    let (world, mut places) = World::start(rows);
    let mut tracks = see(&world, &places);
    for (place, track) in places.iter().zip(&mut tracks) {
        explain(place, track);
        track.report.record = told(place, &world);
    }
    for place in &mut places {
        place.mend(&world);
    }
    world.refusing.mend();
    flow(&world, &places, &mut tracks);
    places.iter().for_each(Place::clear);
    tracks.into_iter().map(|track| track.report).collect()
}

/// Sends the mail that meets the faults, and looks till all is seen that is to be seen.
#[must_use]
pub(super) fn see(world: &World, places: &[Place]) -> Vec<Track> {
    if places.iter().any(|place| matches!(place.row.cause, Cause::Schedule(Gate::Pause))) {
        await_pause();
    }
    let mut tracks = Vec::new();
    for place in places {
        tracks.push(begin(world, place));
        glance(world, places, &mut tracks);
    }
    watch(world, places, &mut tracks);
    tracks
}

fn begin(world: &World, place: &Place) -> Track {
    place.send(world);
    let report = Report { row: place.row, seen: Vec::new(), record: None, took: None, flowed: None, wrong: Vec::new() };
    Track {
        sent: Timestamp::now(),
        sent_at: Instant::now(),
        report,
        last: String::new(),
        neighbour: !place.row.spares_neighbours(),
        done: false,
    }
}

fn watch(world: &World, places: &[Place], tracks: &mut [Track]) {
    let end = Instant::now() + WATCH;
    while Instant::now() < end && !tracks.iter().all(|track| track.done && track.neighbour) {
        glance(world, places, tracks);
        thread::sleep(LOOK);
    }
    for track in tracks.iter_mut() {
        let report = &mut track.report;
        if !track.done {
            report.wrong.push(format!("not seen: {}", track.last));
        }
        if !track.neighbour {
            report.wrong.push(format!("mail for a neighbour of {} did not flow", report.row.name));
        }
    }
}

/// Looks once at all whose mail was sent.
fn glance(world: &World, places: &[Place], tracks: &mut [Track]) {
    let main = world.relay.monitor();
    world.good.look();
    world.neighbour.look();
    for (place, track) in places.iter().zip(tracks.iter_mut()) {
        let to = place.neighbour();
        track.neighbour = track.neighbour || world.good.has(&to) || world.neighbour.has(&to);
        if track.done {
            continue;
        }
        let found = match (place.row.seen, &place.own) {
            (Seen::Returned(status, says), _) => bounced(&place.row, world, status, says),
            (_, Some(own)) => look(&place.row, &own.relay.monitor(), !track.report.seen.is_empty()),
            (_, None) => look(&place.row, &main, !track.report.seen.is_empty()),
        };
        note(track, found);
    }
}

fn note(track: &mut Track, found: Result<Sighting, String>) {
    match found {
        Ok(sighting) => {
            // A fault is there from when it happened, and not before its mail was; mail expires some time after it was sent.
            let begun = match track.report.row.cause {
                Cause::Own(Own::Expires) => track.sent + EXPIRE_AFTER,
                _ => track.sent,
            };
            let since = sighting.since.map_or(begun, |since| since.max(begun));
            let took = Duration::try_from(since.duration_until(Timestamp::now())).unwrap_or_default();
            if track.report.seen.is_empty() {
                track.report.took = Some(took);
                if took > SOON {
                    track.report.wrong.push(format!("seen only after {took:.1?}"));
                }
            }
            track.done = !sighting.more;
            track.report.seen.push(sighting);
        }
        Err(why) => {
            track.last = why;
            let limit = match track.report.row.seen {
                Seen::Hangs(_, Ending::Within(limit, _)) if !track.report.seen.is_empty() => limit,
                _ => WATCH / 3,
            };
            if track.sent_at.elapsed() > limit {
                track.done = true;
                track.report.wrong.push(format!("not seen: {}", track.last));
            }
        }
    }
}

/// What came back to the row's sender.
fn bounced(row: &Row, world: &World, status: &str, says: &str) -> Result<Sighting, String> {
    let text = world.good.returned(&row.sender()).ok_or("nothing came back")?;
    if !text.contains(&format!("Status: {status}")) || !text.contains(says) {
        return Err(format!("{status} {says:?} is not in {text}"));
    }
    Ok(Sighting {
        since: None,
        shown: format!("Returned, status {status}"),
        text: String::new(),
        till: None,
        more: false,
    })
}

/// What the relay's own program says of what is seen.
fn explain(place: &Place, track: &mut Track) {
    let Some(last) = track.report.seen.last() else { return };
    let asked = match place.row.seen {
        Seen::Returned(status, _) => status.to_owned(),
        Seen::Hangs(_, Ending::Minutes(_, code)) => code.to_owned(),
        Seen::Hangs(_, Ending::GoesOn) => "ETIMEDOUT".to_owned(),
        _ => last.text.clone(),
    };
    let output = process::output(Command::new(program()).args(["explain", &asked]));
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !said.contains(place.row.advice) {
        let error = String::from_utf8_lossy(&output.stderr);
        track.report.wrong.push(format!("explain {asked:?} does not advise {:?}: {said}{error}", place.row.advice));
    }
}

/// The record of the log about the row's fault.
fn told(place: &Place, world: &World) -> Option<String> {
    let host = place.row.host();
    let of_host = |record: &Record| record.field("host").as_deref() == Some(host.as_str());
    let to_recipient =
        |record: &Record| record.field("recipient").is_some_and(|to| to.ends_with(&format!("@{}", place.row.domain())));
    let found = place.relay(world).records().into_iter().find(|record| match place.row.seen {
        Seen::Returned(..) => record.msg.starts_with("gave a recipient up") && to_recipient(record),
        Seen::Problem(..) => false,
        Seen::Waits(_) | Seen::Hangs(..) => {
            of_host(record)
                && (record.marker.is_some() || record.msg == "deferred")
                && record.level <= mailsluice_crds::LogLevel::Problems
        }
    })?;
    let marker = found.marker.map(|marker| format!("{marker} ")).unwrap_or_default();
    let reply = found.fields.get("reply").and_then(|reply| reply.as_str().map(|reply| format!(": {reply}")));
    Some(stable(&format!("{marker}{}{}", found.msg, reply.unwrap_or_default())))
}

/// Waits till all mail has gone that its fault held up.
fn flow(world: &World, places: &[Place], tracks: &mut [Track]) {
    let mended = Timestamp::now();
    let main = world.relay.monitor();
    let due: Vec<(Timestamp, Duration)> = places
        .iter()
        .map(|place| {
            if matches!(place.row.seen, Seen::Returned(..)) {
                // What came back does not go: what is sent now does.
                place.send(world);
                return (Timestamp::now(), allowance(&place.row));
            }
            let row = match &place.own {
                Some(own) => own.relay.row(&place.row.host()),
                None => main.monitor.iter().find(|row| row.host == place.row.host()).cloned(),
            };
            let row = row.filter(|_| waits_for_its_time(&place.row));
            // An attempt that is under way may still meet the fault, and another one is due only after it.
            let under_way = row.as_ref().is_some_and(|row| row.suspended_till.is_none() && row.last_error.is_some());
            let more = if under_way { Duration::from_secs(RETRY) } else { Duration::ZERO };
            (row.and_then(|row| row.suspended_till).unwrap_or(mended).max(mended), allowance(&place.row) + more)
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(RETRY) + WATCH * 2;
    let mut left: Vec<usize> = (0..places.len()).collect();
    while !left.is_empty() && Instant::now() < end {
        world.good.look();
        left.retain(|at| {
            let (place, report) = (&places[*at], &mut tracks[*at].report);
            let (due, allowed) = due[*at];
            let late = Duration::try_from(due.duration_until(Timestamp::now())).unwrap_or_default();
            let wanted = if place.row.name == "smtputf8" {
                format!("caffè@{}", place.row.domain())
            } else {
                place.row.recipient()
            };
            if place.has(world, &wanted) {
                report.flowed = Some(late);
                return false;
            }
            if late > allowed {
                report.wrong.push(format!("its mail did not flow within {allowed:?} of {due:.0}"));
                return false;
            }
            true
        });
        thread::sleep(LOOK);
    }
}

/// Whether the next attempt is at the Suspended Till: not so where a change of the configuration ends the fault.
fn waits_for_its_time(row: &Row) -> bool {
    match row.cause {
        Cause::Schedule(gate) => gate == Gate::OpensLater,
        Cause::Own(own) => !matches!(own, Own::Rate | Own::Connections),
        _ => true,
    }
}

fn allowance(row: &Row) -> Duration {
    match (row.seen, row.cause) {
        (Seen::Hangs(_, Ending::Within(..)), _) | (_, Cause::Path(Path::Rule(_))) => HANGING,
        _ => DELIVERY,
    }
}
