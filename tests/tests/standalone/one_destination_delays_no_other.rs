//! What one host does with its mail is nothing to another: many messages, silence, or a slow answer delay its own alone.

use std::{net::TcpListener, thread, time::Duration};

use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
};

/// Messages for the host that is in the way.
const MANY: usize = 300;

fn three_arrive(manifest: &Manifest, quick: &Sink) {
    let relay = Relay::start(manifest);
    let mut client = Dialogue::open(relay.smtp);
    for number in 0..MANY {
        client.message("shop@example.org", &["a@many.test"], &mail::text(&format!("one of many {number}")));
    }
    for number in 0..3 {
        client.message("shop@example.org", &["a@quick.test"], &mail::text(&format!("quick {number}")));
    }
    // The other host would keep them for minutes.
    let _ = quick.await_messages(3, PATIENCE);
    assert!(relay.monitor().queue.messages > 200, "the others wait");
}

#[test]
fn not_by_taking_connections_and_saying_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("listen");
    let quick = Sink::start();
    let silent_at = silent.local_addr().expect("its address");
    // All connections that a host may have, and one more for everyone else.
    let mut manifest = Manifest::to(silent_at).route(&["quick.test"], quick.address);
    manifest.relay.limits.connections_per_host = 4;
    manifest.relay.limits.connections = 5;
    three_arrive(&manifest, &quick);
    drop(silent);
}

#[test]
fn not_by_answering_slowly() {
    let slow = Scripted::start(|line| {
        if line == "." {
            thread::sleep(Duration::from_millis(500));
        }
        None
    });
    let quick = Sink::start();
    let mut manifest = Manifest::to(slow.address).route(&["quick.test"], quick.address);
    manifest.relay.limits.connections_per_host = 4;
    manifest.relay.limits.connections = 5;
    three_arrive(&manifest, &quick);
}
