//! One life of a relay, from its start to its end.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    sync::LazyLock,
    time::Duration,
};

use mailsluice_crds::manifest::Source;
use tokio::{
    runtime::{Builder, Runtime},
    time::{self, Instant},
};

use super::{client, host, world::World};
use crate::{
    clock,
    config::Config,
    delivery::dispatch,
    log::Log,
    metrics::Metrics,
    portion::Portion,
    run::{Folders, Options, Relay, VERSION},
    secrets::Secrets,
    socket,
    spool::{
        Recovery,
        tests::{
            driven::Driven,
            simdisk::{Rng, SimDisk},
        },
    },
};

/// How long a relay may take to deliver what it has, once all hosts are well.
const PATIENCE: Duration = Duration::from_secs(600);

static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let routes: Vec<String> = host::ROUTES
        .iter()
        .map(|(domain, number)| {
            format!("  - {{domains: [{domain}], smarthost: {{host: 192.0.2.{number}, port: 25}}}}\n")
        })
        .collect();
    let text = format!(
        "apiVersion: mailsluice.dev/v1alpha1\nkind: SMTPRelay\nmetadata: {{name: simulated}}\nspec:\n  clients:\n  - \
         {{networks: [198.51.100.0/24]}}\n  retry: {{first: 1s, longest: 4s}}\n  log: {{level: CrashesOnly}}\n  \
         routes:\n{}",
        routes.concat()
    );
    Arc::new(Config::from_sources(&[Source { name: "simulated.yaml", text: &text }]).unwrap())
});

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::new(io::sink()).unwrap();
    log.configure(&CONFIG.name, &CONFIG.spec.log, CONFIG.schedule_log);
    log
});

/// Runs a relay under load until the power goes; returns the disk as the next one finds it.
pub(super) fn until_a_cut(world: &World, disk: &SimDisk) -> SimDisk {
    let mut rng = world.rng();
    let (runtime, _guard) = begin(world);
    let at_work = rng.one_in(2);
    if at_work {
        let left = if rng.one_in(6) { rng.below(12) } else { rng.below(80) };
        disk.faults(|faults| faults.power_left = Some(left));
    }
    let lasts = Duration::from_micros(rng.below(3_000_000) as u64);
    runtime.block_on(async {
        // The power may go while the spool is opened.
        let Ok((relay, writer, recovery)) = start(disk, &mut rng) else { return };
        tokio::spawn(take_back(world.clone(), relay.clone(), recovery));
        for number in 1..=1 + rng.below(3) {
            let peer = (Ipv4Addr::new(198, 51, 100, number as u8), 4_000).into();
            tokio::spawn(client::run(world.clone(), relay.reception.clone(), peer));
        }
        tokio::select! {
            biased;
            ended = writer => ended.unwrap(),
            () = time::sleep(lasts) => {}
        }
        world.seen(|seen| seen.cut_at_work += u64::from(disk.is_off()));
        world.alarmed(relay.spool.damage());
    });
    let next = disk.power_cut();
    runtime.block_on(async { world.ended(true) });
    next
}

/// Runs a relay, without load and with hosts that are well, until it has nothing more; and looks whether that is so.
pub(super) fn until_all_is_delivered(world: &World, disk: &SimDisk) {
    let mut rng = world.rng();
    world.set_calm();
    let (runtime, _guard) = begin(world);
    let ended = runtime.block_on(async {
        let (relay, _writer, recovery) = start(disk, &mut rng)?;
        relay.take_back(recovery);
        world.alarmed(relay.spool.damage());
        let messages = || relay.queue.read(crate::queue::Queue::totals).messages;
        world.seen(|seen| seen.recovered += messages());
        let end = Instant::now() + PATIENCE;
        while messages() > 0 && Instant::now() < end {
            time::sleep(Duration::from_millis(100)).await;
        }
        let waits = messages();
        // The last marks.
        time::sleep(Duration::from_secs(3)).await;
        world.ended(false);
        if waits == 0 { Ok(()) } else { Err(format!("{waits} messages are still there when all hosts are well")) }
    });
    drop(runtime);
    if let Err(wrong) = ended.and_then(|()| nothing_is_left(&disk.power_cut())) {
        world.wrong(wrong);
    }
}

fn nothing_is_left(disk: &SimDisk) -> Result<(), String> {
    let (_spool, recovery, _driven) = Driven::open(disk).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    recovery.run(&mut |message| found.push(message.envelope.recipients)).map_err(|error| error.to_string())?;
    if found.is_empty() { Ok(()) } else { Err(format!("delivered, and back after the next cut: {found:?}")) }
}

/// A runtime whose time stands still while anybody works, with its network and clock; they end with the guard.
fn begin(world: &World) -> (Runtime, Guard) {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { clock::simulated::start(world.start()) });
    let theirs = world.clone();
    socket::simulated::set(Some(Box::new(move |address, stream| {
        tokio::spawn(host::serve(theirs.clone(), address, stream));
    })));
    (runtime, Guard)
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        clock::simulated::stop();
        socket::simulated::set(None);
    }
}

type Started = (Relay, tokio::task::JoinHandle<()>, Recovery);

/// Puts a relay together on the disk, and lets it work.
fn start(disk: &SimDisk, rng: &mut Rng) -> Result<Started, String> {
    let (spool, recovery, driven) = Driven::open(disk).map_err(|error| error.to_string())?;
    let writer = tokio::spawn(write(driven, disk.clone(), Rng(rng.next())));
    let options = Options {
        files: Vec::new(),
        spool: None,
        bind: Ipv4Addr::LOCALHOST.into(),
        http: (Ipv4Addr::LOCALHOST, 0).into(),
        resolver: None,
        trust_anchors: None,
        authorities: None,
        monitor_credential: None,
        secrets: None,
        family: None,
    };
    let metrics = Arc::new(Metrics::new(VERSION).map_err(|error| error.to_string())?);
    // No port has TLS, so none is read.
    let secrets = Secrets::below(PathBuf::new());
    let folders = Folders { manifests: Path::new(""), spool: Path::new("/nowhere") };
    let relay = Relay::assemble(
        &options,
        &CONFIG,
        (spool, secrets, folders),
        (true, Portion::Whole.of(&CONFIG.spec.limits)),
        metrics,
        LOG.clone(),
    );
    tokio::spawn(dispatch::run(relay.courier.clone()));
    Ok((relay, writer, recovery))
}

/// Recovery, at some moment while mail is taken already.
async fn take_back(world: World, relay: Relay, recovery: Recovery) {
    client::pause(&mut world.rng(), 50_000).await;
    let counted = crate::queue::Queue::totals;
    let before = relay.queue.read(counted).messages;
    relay.take_back(recovery);
    world.seen(|seen| seen.recovered += relay.queue.read(counted).messages - before);
}

/// The writer's thread, as a task: it works at moments of its own, as a disk does, and ends with the power.
async fn write(mut driven: Driven, disk: SimDisk, mut rng: Rng) {
    let mut due: Option<Instant> = None;
    while !disk.is_off() {
        time::sleep(Duration::from_micros(200 + rng.below(4_000) as u64)).await;
        if due.is_some_and(|due| due <= Instant::now()) {
            driven.tick();
            due = None;
        } else if !driven.turn() {
            continue;
        }
        due = driven.rest().map(|rest| Instant::now() + rest).map(|at| due.map_or(at, |due| due.min(at)));
    }
}
