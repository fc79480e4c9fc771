//! Where much mail arrives, of which each message is read once.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::sink::Sink;

/// A sink, and what is known of its mail.
pub struct Inbox {
    sink: Sink,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    messages: usize,
    recipients: Vec<String>,
    /// To whom each came back, and its text on one line.
    returned: Vec<(String, String)>,
}

impl Inbox {
    /// Starts it at this address.
    #[must_use]
    pub fn start(address: SocketAddr) -> Inbox {
        Inbox { sink: Sink::start_at(address), known: Mutex::default() }
    }

    /// Where it takes mail.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.sink.address
    }

    /// Looks what has arrived.
    pub fn look(&self) {
        let mut known = self.known();
        for message in self.sink.received_after(known.messages) {
            known.messages += 1;
            let to = message.envelope.recipients;
            if message.envelope.sender.is_empty() {
                let text = String::from_utf8_lossy(&message.octets).replace("\r\n ", " ").replace("\r\n", " ");
                known.returned.push((to.join(","), text));
            }
            known.recipients.extend(to);
        }
    }

    /// Whether a message for this recipient had arrived at the last look.
    #[must_use]
    pub fn has(&self, recipient: &str) -> bool {
        self.known().recipients.iter().any(|to| to == recipient)
    }

    /// The text of a bounce to this sender.
    #[must_use]
    pub fn returned(&self, sender: &str) -> Option<String> {
        self.known().returned.iter().find(|(to, _)| to == sender).map(|(_, text)| text.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
