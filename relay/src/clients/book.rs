//! The pages of clients, on three shelves that each have their bound. Pure: time comes from outside.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use jiff::Timestamp;
use mailsluice_crds::monitor::{ClientKind, ClientRow, ClientStage, Refusal};

use super::shown;

/// Pages on each shelf at most; with every text at its longest, about 2 MiB together.
const ROOM: [usize; 3] = [512, 256, 128];
/// The shelves: of those who have shown who they are and may relay, of those whose address may, and of strangers.
const NAMED: usize = 0;
const ADDRESSES: usize = 1;
const STRANGERS: usize = 2;

/// What a client is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// What it has shown, and the name by that.
    Named(ClientKind, Box<str>),
    /// Its address.
    Address(IpAddr),
    /// The /64 that it comes from.
    Network(Ipv6Addr),
}

impl Who {
    /// A client that has shown nothing. Whoever may not relay and has a /64 could come from any address in it.
    pub(super) fn address(address: IpAddr, listed: bool) -> Who {
        match address.to_canonical() {
            IpAddr::V6(address) if !listed => Who::Network(masked(address, 64)),
            address => Who::Address(address),
        }
    }

    fn kind(&self) -> ClientKind {
        match self {
            Who::Named(kind, _) => *kind,
            Who::Address(_) | Who::Network(_) => ClientKind::Address,
        }
    }

    fn name(&self) -> String {
        match self {
            Who::Named(_, name) => name.to_string(),
            Who::Address(address) => shown(*address),
            Who::Network(network) => format!("{network}/64"),
        }
    }

    /// The network by which strangers are told apart: an IPv4 /24, or an IPv6 /48. Those with names are all of one.
    fn neighbourhood(&self) -> Ipv6Addr {
        match self {
            Who::Named(..) => Ipv6Addr::UNSPECIFIED,
            Who::Address(IpAddr::V4(address)) => masked(address.to_ipv6_mapped(), 120),
            Who::Address(IpAddr::V6(address)) | Who::Network(address) => masked(*address, 48),
        }
    }

    fn shelf(&self, listed: bool) -> usize {
        match self {
            _ if !listed => STRANGERS,
            Who::Named(..) => NAMED,
            Who::Address(_) | Who::Network(_) => ADDRESSES,
        }
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> bits))
}

/// What is known of one client. Sessions write in it without a lock, but for what is refused.
#[derive(Debug)]
pub struct Page {
    accepted: AtomicU64,
    refused: AtomicU64,
    /// In milliseconds since 1970.
    seen: AtomicI64,
    /// When a message was taken last; 0 where none was.
    taken: AtomicI64,
    refusal: Mutex<Option<Refusal>>,
    /// Whether it is in the book no more.
    torn: AtomicBool,
}

impl Page {
    fn new(now: Timestamp) -> Page {
        Page {
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            seen: AtomicI64::new(now.as_millisecond()),
            taken: AtomicI64::new(0),
            refusal: Mutex::default(),
            torn: AtomicBool::new(false),
        }
    }

    /// The client has come in.
    pub fn seen(&self, now: Timestamp) {
        self.seen.fetch_max(now.as_millisecond(), Relaxed);
    }

    /// A message of the client's was taken.
    pub fn accepted(&self, now: Timestamp) {
        self.accepted.fetch_add(1, Relaxed);
        self.taken.fetch_max(now.as_millisecond(), Relaxed);
        self.seen(now);
    }

    /// So many commands of the client's were refused, one of them so. Who failed to show who it is and has to wait is told no reason; the
    /// one that is known stays.
    pub fn refused(&self, mut refusal: Refusal, count: u64) {
        self.refused.fetch_add(count, Relaxed);
        self.seen(refusal.at);
        let mut last = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if let (ClientStage::Auth, None, Some(before)) = (refusal.stage, &refusal.why, last.take())
            && before.stage == ClientStage::Auth
        {
            refusal.why = before.why;
        }
        *last = Some(refusal);
    }

    /// Whether the client was forgotten meanwhile: what is written here is read by nobody.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.torn.load(Relaxed)
    }

    fn row(&self, who: &Who, listed: bool) -> ClientRow {
        let moment = |at: &AtomicI64| Timestamp::from_millisecond(at.load(Relaxed)).unwrap_or_default();
        ClientRow {
            client: who.name(),
            kind: who.kind(),
            listed,
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            last_seen: moment(&self.seen),
            last_accepted: Some(moment(&self.taken)).filter(|at| *at > Timestamp::UNIX_EPOCH),
            last_refusal: self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// All pages.
#[derive(Debug, Default)]
pub(super) struct Book {
    shelves: [HashMap<Who, Arc<Page>>; 3],
}

impl Book {
    /// The client's page; whoever is seen least recently makes room for a new one. A client that may relay from now on, or no more, keeps
    /// its page.
    pub(super) fn page(&mut self, who: Who, listed: bool, now: Timestamp) -> Arc<Page> {
        let place = who.shelf(listed);
        let mut elsewhere = self.shelves.iter_mut().enumerate().filter(|(other, _)| *other != place);
        let moved = elsewhere.find_map(|(_, shelf)| shelf.remove(&who));
        let Some(shelf) = self.shelves.get_mut(place) else { return Arc::new(Page::new(now)) };
        if let Some(page) = shelf.get(&who) {
            return page.clone();
        }
        if shelf.len() >= ROOM.get(place).copied().unwrap_or_default() {
            let crowd = if place == STRANGERS { crowd(shelf) } else { None };
            let least = shelf
                .iter()
                .filter(|(who, _)| crowd.is_none_or(|crowd| who.neighbourhood() == crowd))
                .min_by_key(|(_, page)| page.seen.load(Relaxed))
                .map(|(who, _)| who.clone());
            if let Some(page) = least.and_then(|who| shelf.remove(&who)) {
                page.torn.store(true, Relaxed);
            }
        }
        let page = moved.unwrap_or_else(|| Arc::new(Page::new(now)));
        shelf.insert(who, page.clone());
        page
    }

    /// A row for each client.
    pub(super) fn rows(&self) -> Vec<ClientRow> {
        let pages =
            self.shelves.iter().enumerate().flat_map(|(place, shelf)| shelf.iter().map(move |page| (place, page)));
        pages.map(|(place, (who, page))| page.row(who, place != STRANGERS)).collect()
    }
}

/// The network that has the most pages; None where each has one.
fn crowd(shelf: &HashMap<Who, Arc<Page>>) -> Option<Ipv6Addr> {
    let mut counts: HashMap<Ipv6Addr, usize> = HashMap::new();
    for who in shelf.keys() {
        *counts.entry(who.neighbourhood()).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).max_by_key(|(_, count)| *count).map(|(network, _)| network)
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::catalogue::ReplyCode;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn refusal(second: i64, code: u16, stage: ClientStage, why: Option<&str>) -> Refusal {
        Refusal {
            at: at(second),
            code: ReplyCode::new(code, None).into(),
            stage,
            text: "no".into(),
            why: why.map(str::to_owned),
            address: "192.0.2.1".into(),
            sender: None,
            recipient: None,
        }
    }

    fn user(name: &str) -> Who {
        Who::Named(ClientKind::User, name.into())
    }

    fn from(address: &str, listed: bool) -> Who {
        Who::address(address.parse().unwrap(), listed)
    }

    fn names(book: &Book) -> Vec<String> {
        let mut names: Vec<_> = book.rows().into_iter().map(|row| row.client).collect();
        names.sort();
        names
    }

    #[test]
    fn what_sessions_note_is_on_one_page_per_client() {
        let mut book = Book::default();
        let page = book.page(user("shop"), true, at(1));
        page.accepted(at(5));
        book.page(user("shop"), true, at(6)).accepted(at(4));
        page.refused(refusal(7, 550, ClientStage::RcptTo, None), 3);
        let rows = book.rows();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.client.as_str(), row.kind, row.listed), ("shop", ClientKind::User, true));
        assert_eq!((row.accepted, row.refused, row.last_seen, row.last_accepted), (2, 3, at(7), Some(at(5))));
        assert_eq!(row.last_refusal, Some(refusal(7, 550, ClientStage::RcptTo, None)));
        let _ = book.page(user("idle"), true, at(1));
        let row = book.rows().into_iter().find(|row| row.client == "idle").unwrap();
        assert_eq!((row.last_seen, row.last_accepted, row.last_refusal), (at(1), None, None));
    }

    #[test]
    fn who_has_to_wait_after_failures_still_shows_why_they_failed() {
        for (stage, code, why) in [(ClientStage::Auth, 454, Some("expired")), (ClientStage::MailFrom, 530, None)] {
            let page = Page::new(at(0));
            page.refused(refusal(1, 535, ClientStage::Auth, Some("expired")), 1);
            page.refused(refusal(2, code, stage, None), 1);
            let last = page.row(&user("a"), true).last_refusal.unwrap();
            assert_eq!((last.code.to_string(), last.why.as_deref()), (code.to_string(), why));
        }
    }

    #[test]
    fn who_is_seen_least_recently_is_forgotten_and_its_page_is_torn() {
        let mut book = Book::default();
        let pages: Vec<_> = (0..512).map(|n| book.page(user(&format!("user-{n}")), true, at(n))).collect();
        pages[0].accepted(at(1_000));
        let _ = book.page(user("new"), true, at(1_001));
        let left = names(&book);
        assert_eq!(left.len(), 512);
        assert!(left.contains(&"user-0".to_owned()) && left.contains(&"new".to_owned()));
        assert!(!left.contains(&"user-1".to_owned()));
        assert_eq!([0, 1, 2].map(|n: usize| pages[n].is_torn()), [false, true, false]);
    }

    #[test]
    fn no_number_of_strangers_takes_the_page_of_who_may_relay() {
        let mut book = Book::default();
        let _ = book.page(user("shop"), true, at(0));
        let _ = book.page(from("10.1.2.3", true), true, at(0));
        let _ = book.page(from("10.9.9.9", false), false, at(1));
        for n in 0..1_000_i64 {
            let _ = book.page(from(&format!("192.0.2.{}", n % 256), false), false, at(10 + n));
            let _ = book.page(from(&format!("2001:db8:0:{n:x}::1"), false), false, at(10 + n));
            let _ = book.page(Who::Named(ClientKind::ServiceAccount, format!("x/{n}").into()), false, at(10 + n));
        }
        let left = names(&book);
        assert_eq!(left.len(), 2 + 128);
        for kept in ["shop", "10.1.2.3", "10.9.9.9"] {
            assert!(left.contains(&kept.to_owned()), "{kept}: the one stranger of a quiet network, too");
        }
    }

    #[test]
    fn a_client_that_is_listed_meanwhile_keeps_what_was_counted() {
        let mut book = Book::default();
        let page = book.page(user("shop"), false, at(0));
        page.refused(refusal(1, 550, ClientStage::RcptTo, None), 1);
        book.page(user("shop"), true, at(2)).accepted(at(2));
        let rows = book.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].listed, rows[0].accepted, rows[0].refused), (true, 1, 1));
    }
}
