//! Many clients at once, each answer noted: what was promised, and whether it was kept.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{dialogue::Dialogue, mail, sink::Received};

/// Clients that send until they are told to stop, and connect again whenever the relay is gone.
#[derive(Debug)]
pub struct Load {
    answered: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many clients, each message to one of `recipients` in turn.
    #[must_use]
    pub fn start(address: SocketAddr, clients: usize, recipients: &'static [&'static str]) -> Load {
        let answered = Arc::new(Mutex::default());
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients)
            .map(|_| {
                let (answered, stop, next) = (Arc::clone(&answered), Arc::clone(&stop), Arc::clone(&next));
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        client(address, recipients, &answered, &stop, &next);
                        // The relay is gone, or starts: try again soon.
                        thread::sleep(Duration::from_millis(5));
                    }
                })
            })
            .collect();
        Load { answered, stop, clients }
    }

    /// How many messages have been answered 250.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered.lock().expect("no panic while it was held").len()
    }

    /// Stops the clients; the subjects of the messages that were answered 250.
    #[must_use]
    pub fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client ends");
        }
        let answered = self.answered.lock().expect("no panic while it was held");
        answered.clone()
    }
}

/// One connection, until it ends.
fn client(
    address: SocketAddr,
    recipients: &[&str],
    answered: &Mutex<Vec<String>>,
    stop: &AtomicBool,
    next: &AtomicUsize,
) {
    let Ok(mut dialogue) = Dialogue::try_open(address) else { return };
    if dialogue.try_send(b"EHLO client.test\r\n").and_then(|()| dialogue.try_reply()).is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let subject = format!("message {number}");
        let recipient = recipients[number % recipients.len()];
        match dialogue.try_message("shop@example.org", &[recipient], &mail::text(&subject)) {
            Ok(reply) if reply.starts_with("250") => {
                answered.lock().expect("no panic while it was held").push(subject);
            }
            _ => return,
        }
    }
}

/// What became of the messages that were answered 250.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered 250.
    pub answered: usize,
    /// Of those, how many did not arrive.
    pub lost: Vec<String>,
    /// How many arrived more than once, counting each copy beyond the first.
    pub duplicates: usize,
    /// How many arrived with other octets than were sent.
    pub spoiled: Vec<String>,
}

/// Compares what was promised with what arrived.
#[must_use]
pub fn tally(answered: &[String], received: &[Received]) -> Tally {
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    let mut tally = Tally { answered: answered.len(), ..Tally::default() };
    for message in received {
        let subject = message.subject();
        if message.text() != mail::text(&subject) {
            tally.spoiled.push(subject.clone());
        }
        *copies.entry(subject).or_default() += 1;
    }
    tally.lost = answered.iter().filter(|subject| !copies.contains_key(*subject)).cloned().collect();
    tally.duplicates = copies.values().map(|count| count - 1).sum();
    tally
}
