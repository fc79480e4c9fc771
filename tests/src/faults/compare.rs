//! What Postfix says of the same faults: the reasons in its queue, and its log.

use std::{collections::BTreeMap, fs, process::Command, thread, time::Duration};

use serde_json::Value;

use super::{
    make::nft,
    refusing,
    row::{At, Cause, Dns, Ending, Row, Seen, Tls},
    run::{Report, Track, see},
    world::{self, Place, RETRY, World},
};
use crate::{postfix::Postfix, process};

/// How soon a fault is to be named, as it is asked of the relay.
const SOON: Duration = Duration::from_secs(3);
/// How long it is waited for in the end: as long as Postfix, too, waits for a connection to open, and some more.
const LATE: Duration = Duration::from_secs(42);

/// A row of the comparison.
#[derive(Debug)]
pub struct Compared {
    /// What the relay's Monitor shows.
    pub ours: Report,
    /// What Postfix says; none where it knows no such thing, or none of it is set up here.
    pub theirs: Option<Answer>,
}

/// What Postfix says.
#[derive(Debug)]
pub struct Answer {
    /// Its words, the last ones.
    pub words: String,
    /// Whether they name the fault within three seconds.
    pub soon: bool,
    /// Whether they name it in the end.
    pub late: bool,
}

impl Compared {
    /// What the Monitor shows, in few words: reason, code and stage.
    #[must_use]
    pub fn shows(&self) -> String {
        shows(&self.ours.row)
    }

    /// Whether the Monitor names the fault within three seconds.
    #[must_use]
    pub fn is_soon(&self) -> bool {
        self.ours.wrong.is_empty() && self.ours.took.is_some_and(|took| took <= SOON)
    }
}

/// Makes the faults, and has the relays send their mail, and then a Postfix the same.
#[must_use]
pub fn run(rows: &[Row]) -> Vec<Compared> {
    let (world, places) = World::start(rows);
    let ours = see(&world, &places);
    answer_to_the_system(&world);
    let postfix = sender(&world, rows);
    let asked: Vec<&Place> = places.iter().filter(|place| is_fair(&place.row)).collect();
    asked.iter().for_each(|place| place.send_to(postfix.address));
    thread::sleep(SOON);
    let soon = says(&postfix);
    thread::sleep(LATE);
    let late = says(&postfix);
    places.iter().for_each(Place::clear);
    let said = |all: &BTreeMap<String, String>, row: &Row| all.get(&row.domain()).cloned().unwrap_or_default();
    let names = |row: &Row, words: &str| row.postfix.iter().any(|part| words.contains(part));
    ours.into_iter()
        .map(|Track { report, .. }| {
            let row = &report.row;
            let theirs = is_fair(row).then(|| {
                let words = said(&late, row);
                Answer { soon: names(row, &said(&soon, row)), late: names(row, &words), words }
            });
            Compared { ours: report, theirs }
        })
        .collect()
}

/// Whether Postfix can be asked: it knows no TCP Schedule, has other limits, and leaves proofs to its DNS server and MTA-STS to others.
fn is_fair(row: &Row) -> bool {
    let other = matches!(
        row.cause,
        Cause::Schedule(_) | Cause::Own(_) | Cause::Hold | Cause::Dns(Dns::Denied) | Cause::Tls(Tls::Dane | Tls::Sts)
    );
    !other
}

fn shows(row: &Row) -> String {
    match row.seen {
        Seen::Waits(waits) => match waits.error {
            Some((code, stage)) => format!("{}: {code} at {stage:?}", waits.reason.name()),
            None => waits.reason.name().to_owned(),
        },
        Seen::Hangs(stage, Ending::Within(_, waits)) => {
            format!("in stage {stage:?}, then {}: {}", waits.reason.name(), waits.error.map_or("", |(code, _)| code))
        }
        Seen::Hangs(stage, _) => format!("in stage {stage:?}, since when"),
        Seen::Returned(status, _) => format!("returned, {status}"),
        Seen::Problem(reason, _) => reason.name().to_owned(),
    }
}

/// Has the system ask the DNS server of the faults.
fn answer_to_the_system(world: &World) {
    let file = world.secrets().join("resolv.conf");
    fs::write(&file, "nameserver 127.0.0.1\n").expect("write a list of DNS servers");
    process::run(Command::new("mount").arg("--bind").arg(&file).arg("/etc/resolv.conf"));
    for protocol in ["udp", "tcp"] {
        nft(&format!("add rule ip faults names ip daddr 127.0.0.1 {protocol} dport 53 dnat to {}", world.dns.address));
    }
}

/// A Postfix with the settings that come nearest to those of the relay.
fn sender(world: &World, rows: &[Row]) -> Postfix {
    let mut policies = String::new();
    let mut ways = String::new();
    for row in rows {
        let domain = row.domain();
        match row.cause {
            Cause::Tls(Tls::NotOffered) => policies += &format!("{{ {domain} = encrypt }} "),
            Cause::Tls(Tls::Expired | Tls::WrongName | Tls::SelfSigned | Tls::Reset) => {
                policies += &format!("{{ {domain} = verify match=hostname }} ");
            }
            Cause::Tls(Tls::Password) => ways += &format!("{{ {domain} = smtp:[{}]:25 }} ", refusing::LOGIN.ip()),
            Cause::Peer(At::Auth, _) => ways += &format!("{{ {domain} = smtp:[{}]:25 }} ", world::LOGIN.ip()),
            Cause::Dns(Dns::NoSmarthost) => ways += &format!("{{ {domain} = smtp:[{}]:25 }} ", row.exchanger()),
            _ => {}
        }
    }
    let inline = |name: &str, table: &str| match table {
        "" => String::new(),
        table => format!("{name} = inline:{{ {table}}}\n"),
    };
    let settings = format!(
        "relayhost =\nsmtp_host_lookup = dns\nmyhostname = relay.test\nmessage_size_limit = 52428800\nsmtp_tls_security_level = may\n\
         smtp_tls_CAfile = {}\nminimal_backoff_time = {RETRY}s\nqueue_run_delay = {RETRY}s\nsmtp_sasl_auth_enable = yes\n\
         smtp_sasl_security_options = noanonymous\nsmtp_sasl_password_maps = inline:{{ {{ [{}]:25 = shop:wrong }} {{ [{}]:25 = shop:wrong }} }}\n{}{}",
        world.secrets().join("authorities.pem").display(),
        refusing::LOGIN.ip(),
        world::LOGIN.ip(),
        inline("smtp_tls_policy_maps", &policies),
        inline("transport_maps", &ways),
    );
    Postfix::start_beside(&[], world.good.address(), &settings)
}

/// What its queue and its log say, by the recipients' domains: the later word counts.
fn says(postfix: &Postfix) -> BTreeMap<String, String> {
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let mut of_hosts = Vec::new();
    let domain = |address: &str| address.rsplit('@').next().unwrap_or_default().trim_end_matches('>').to_owned();
    for line in postfix.log().lines() {
        // What is wrong with a certificate is in a record of the host, and not in that of the message.
        if let Some((_, rest)) = line.split_once("verification failed for mx.")
            && let (Some((host, _)), Some((_, why))) = (rest.split_once('['), rest.split_once("]:25: "))
        {
            of_hosts.push((host.to_owned(), why.to_owned()));
        }
        // Only what is a recipient's: `to=<a@b>, … status=deferred (why)`.
        let Some((_, rest)) = line.split_once(" to=<") else { continue };
        let (Some((to, _)), Some((_, status))) = (rest.split_once('>'), rest.split_once("status=")) else { continue };
        if status.starts_with("sent") {
            // Of several recipients it is the one that was refused who counts.
            said.entry(domain(to)).or_insert_with(|| status.to_owned());
        } else {
            said.insert(domain(to), status.to_owned());
        }
    }
    for message in postfix.listing().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        for recipient in message["recipients"].as_array().into_iter().flatten() {
            if let (Some(to), Some(why)) = (recipient["address"].as_str(), recipient["delay_reason"].as_str()) {
                said.insert(domain(to), why.to_owned());
            }
        }
    }
    for (host, why) in of_hosts {
        if let Some(words) = said.get_mut(&host).filter(|words| !words.contains(&why)) {
            *words = format!("{words}; {why}");
        }
    }
    said
}
