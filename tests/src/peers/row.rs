//! The rows of the matrix: each one way of the letters, through the relay.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use mailsluice_crds::catalogue::{Code, TlsCode};

use super::{
    Missing, Peer, Side,
    cell::{Cell, Refuser, is_refused},
    compare::{check, copies},
    link::{Keys, Link},
    way::Way,
};
use crate::{
    clients::Client,
    dialogue::{Dialogue, stuffed},
    letter::Letter,
    relay::Relay,
    sink::Received,
};

/// How long a cell may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether everything has arrived.
const INTERVAL: Duration = Duration::from_millis(50);

/// A row.
#[derive(Clone, Copy)]
pub enum Row {
    /// A program sends to the relay.
    Client(Client),
    /// A mail server sends to the relay.
    Before(&'static dyn Peer),
    /// The relay sends to a mail server.
    Behind(&'static dyn Peer),
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything arrived as it was sent.
    Right,
    /// What is wrong.
    Wrong(String),
    /// Why it could not be tried.
    Skipped(String),
    /// Why the peer cannot do that by its nature.
    NotOffered(String),
}

impl Row {
    /// All of them, in the order of the table.
    #[must_use]
    pub fn all() -> Vec<Row> {
        let clients = Client::ALL.into_iter().map(Row::Client);
        let before = super::all().into_iter().filter(|peer| peer.passes_on()).map(Row::Before);
        clients.chain(before).chain(super::all().into_iter().map(Row::Behind)).collect()
    }

    /// Its head.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Row::Client(client) => format!("{} > relay", client.name()),
            Row::Before(peer) => format!("{} > relay", peer.name()),
            Row::Behind(peer) => format!("relay > {}", peer.name()),
        }
    }

    /// Runs it: a verdict for each of [`Cell::ALL`].
    #[must_use]
    pub fn run(self) -> Vec<Verdict> {
        let mut ways: BTreeMap<Link, Result<Way, Missing>> = BTreeMap::new();
        let mut verdict = |cell: Cell| {
            if let Some(why) = self.lacks(cell) {
                return Verdict::NotOffered(why.into());
            }
            match ways.entry(cell.link()).or_insert_with(|| Way::start(self, cell.link())) {
                Ok(way) => self.cell(way, cell),
                Err(Missing(why)) => Verdict::Skipped(why.clone()),
            }
        };
        // What a cell panics with, as when its way does not start, is its verdict alone.
        Cell::ALL
            .map(|cell| {
                catch_unwind(AssertUnwindSafe(|| verdict(cell))).unwrap_or_else(|cause| Verdict::Wrong(said(&*cause)))
            })
            .into()
    }

    fn lacks(self, cell: Cell) -> Option<&'static str> {
        match self {
            Row::Client(client) => client_lacks(client, cell),
            Row::Before(peer) => peer.lacks(cell, Side::Before),
            Row::Behind(peer) => peer.lacks(cell, Side::Behind),
        }
    }

    fn cell(self, way: &Way, cell: Cell) -> Verdict {
        let refuser = if matches!(self, Row::Behind(_)) { Refuser::Hop } else { Refuser::Relay };
        let row = self.title().replace(" > ", "-").replace(['/', ' '], "-");
        self.try_cell(way, cell, &cell.letters(&row, refuser)).map_or_else(Verdict::Wrong, |()| Verdict::Right)
    }

    fn try_cell(self, way: &Way, cell: Cell, letters: &[Letter]) -> Result<(), String> {
        let sessions = client_sessions(&way.relay);
        match self {
            Row::Client(client @ Client::Msmtp) if cell == Cell::Recipients => {
                return all_or_nothing(client, way, letters);
            }
            Row::Client(client) => {
                if cell == Cell::StartTls {
                    distrusts(client, way, letters)?;
                }
                client.try_letters(way.server(&way.keys().authority()), letters)?;
                let took = client_sessions(&way.relay) - sessions;
                if cell == Cell::Several && took != 1 {
                    return Err(format!("it sent {} messages on {took} connections", letters.len()));
                }
            }
            Row::Before(_) => direct(way.entrance(self), letters)?,
            Row::Behind(_) => {
                direct(way.entrance(self), letters)?;
                if cell == Cell::StartTls {
                    holds_for_a_stranger(way)?;
                    way.trust();
                }
            }
        }
        let (signature, adds, protocol) = match self {
            Row::Client(_) => (None, &[][..], cell.link().protocol()),
            Row::Before(peer) => (Some(peer.signature()), peer.adds(), cell.link().protocol()),
            // It comes to the relay in clear.
            Row::Behind(peer) => (Some(peer.signature()), peer.adds(), Link::Clear.protocol()),
        };
        let end = Instant::now() + PATIENCE;
        loop {
            let arrived = way.arrived();
            let missing = match complete(letters, &arrived) {
                Some(missing) => Some(missing),
                // A client was told at once; for others, whoever knows of the refusal returns the message.
                None if matches!(self, Row::Client(_)) => None,
                None => unreturned(letters, &arrived),
            };
            let Some(missing) = missing else {
                return letters
                    .iter()
                    .flat_map(|letter| copies(letter, &arrived).into_iter().map(move |copy| (letter, copy)))
                    .try_for_each(|(letter, copy)| check(letter, copy, signature.as_deref(), adds, protocol));
            };
            if Instant::now() > end {
                return Err(missing);
            }
            thread::sleep(INTERVAL);
        }
    }
}

/// What a client program has no way to say.
fn client_lacks(client: Client, cell: Cell) -> Option<&'static str> {
    match (cell, client) {
        (Cell::Utf8, Client::Swaks | Client::Msmtp) => Some("it does not know SMTPUTF8"),
        (Cell::Recipients, Client::Lettre) => Some("it refuses such an address itself, before it asks the relay"),
        (Cell::Several, Client::Swaks | Client::Msmtp) => Some("it sends one message a run"),
        _ => None,
    }
}

/// A client that verifies the server's certificate sends nothing to one that a stranger vouches for.
fn distrusts(client: Client, way: &Way, letters: &[Letter]) -> Result<(), String> {
    match client.try_letters(way.server(&Keys::new().authority()), letters) {
        Ok(said) => Err(format!("it trusts a server that nobody vouches for: {said}")),
        Err(_) => Ok(()),
    }
}

/// The relay holds mail for a host that nobody vouches for whom it trusts, and says so.
fn holds_for_a_stranger(way: &Way) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let rows = way.relay.monitor().monitor;
        let codes: Vec<_> = rows.into_iter().filter_map(|row| Some(row.last_error?.code)).collect();
        if !way.arrived().is_empty() {
            return Err("mail went to a host that nobody vouches for".into());
        }
        // The stranger has the name of the right authority, and another key.
        if codes == [Code::from(TlsCode::BadSignature)] {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("mail for a host that nobody vouches for does not wait: {codes:?}"));
        }
        thread::sleep(INTERVAL);
    }
}

/// Connections that clients have made to the relay so far.
fn client_sessions(relay: &Relay) -> usize {
    relay.records().iter().filter(|record| record.msg == "a client connected").count()
}

/// A client that gives up at the first refused recipient says so, and nothing arrives.
fn all_or_nothing(client: Client, way: &Way, letters: &[Letter]) -> Result<(), String> {
    let before = way.relay.metric("mailsluice_messages_accepted_total");
    match client.try_letters(way.relay.smtp.into(), letters) {
        Ok(said) => Err(format!("it sees no error: {said}")),
        Err(said) if !said.contains("5.1.3") => Err(format!("it does not show the relay's reply: {said}")),
        Err(_) if way.relay.metric("mailsluice_messages_accepted_total") > before => {
            Err("the relay took a part".into())
        }
        Err(_) => Ok(()),
    }
}

/// Sends letters on one connection, octet by octet as they are.
fn direct(server: SocketAddr, letters: &[Letter]) -> Result<(), String> {
    let send = |letter: &Letter, client: &mut Dialogue| -> io::Result<()> {
        let eight_bit = if letter.eight_bit { " BODY=8BITMIME" } else { "" };
        let utf8 = if letter.utf8 { " SMTPUTF8" } else { "" };
        let mut commands = vec![format!("MAIL FROM:<{}>{eight_bit}{utf8}", letter.sender)];
        commands.extend(letter.recipients.iter().map(|to| format!("RCPT TO:<{to}>")));
        commands.push("DATA".into());
        for command in commands {
            client.try_send(format!("{command}\r\n").as_bytes())?;
            let reply = client.try_reply()?;
            if !reply.starts_with(['2', '3']) {
                return Err(io::Error::other(format!("{command} is answered {reply}")));
            }
        }
        client.try_send(&stuffed(&letter.text))?;
        let reply = client.try_reply()?;
        if reply.starts_with("250") { Ok(()) } else { Err(io::Error::other(format!("the text is answered {reply}"))) }
    };
    let mut client = Dialogue::open(server);
    letters.iter().try_for_each(|letter| send(letter, &mut client)).map_err(|error| error.to_string())
}

/// Which recipients a letter has not reached yet, or has more than once.
fn complete(letters: &[Letter], arrived: &[Received]) -> Option<String> {
    letters.iter().find_map(|letter| {
        let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
        for recipient in copies(letter, arrived).into_iter().flat_map(|copy| &copy.envelope.recipients) {
            *reached.entry(recipient).or_default() += 1;
        }
        let wanted: BTreeMap<&str, usize> =
            letter.recipients.iter().filter(|recipient| !is_refused(recipient)).map(|to| (to.as_str(), 1)).collect();
        (reached != wanted).then(|| format!("it reached {reached:?} and not each once of {:?}", wanted.keys()))
    })
}

/// The refused recipients that no bounce names.
fn unreturned(letters: &[Letter], arrived: &[Received]) -> Option<String> {
    let named = |recipient: &str| {
        arrived.iter().any(|message| {
            message.envelope.sender.is_empty() && String::from_utf8_lossy(&message.octets).contains(recipient)
        })
    };
    let mut refused = letters.iter().flat_map(|letter| &letter.recipients).filter(|recipient| is_refused(recipient));
    refused.find(|recipient| !named(recipient)).map(|recipient| format!("no bounce names {recipient}"))
}

/// The words of a panic.
fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
