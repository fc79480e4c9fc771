//! Measures the spool's own segments beside other stores, at the spool's work: so many callers at a time each store 4 KiB, wait
//! until that is on the disk, and then delete it, without waiting for that.
//!
//! `cargo run --release --manifest-path tests/stores/Cargo.toml [MESSAGES [FOLDER]]`. Everything is stored below FOLDER, by
//! default the system's folder for temporary files, which should be on a disk. RocksDB is measured with `--features rocksdb`,
//! which compiles it: that takes many minutes, and Debian's `libclang-dev`.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use mailsluice_relay::spool::{Client, Disk, Draft, Mark, Options, Outcome, Purpose, Spool};
use raft_engine::{Config, Engine, LogBatch};
use redb::{ReadableDatabase as _, TableDefinition};

/// Octets of a message.
const OCTETS: usize = 4096;

/// Callers at a time.
const CALLERS: [u64; 2] = [1, 50];

/// How long one measurement goes on at most.
const LIMIT: Duration = Duration::from_secs(20);

/// Messages a second.
struct Rate(f64);

/// So many threads, which between them do each number below `total` once, or fewer when the time is over.
fn spread(callers: u64, total: u64, work: impl Fn(u64) + Sync) -> Rate {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while begun.elapsed() < LIMIT {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        break;
                    }
                    work(number);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Rate(done.into_inner() as f64 / begun.elapsed().as_secs_f64())
}

fn own(folder: &Path, callers: u64, total: u64) -> Rate {
    let disk = Disk::open(folder).expect("a folder");
    let (spool, recovery) = Spool::open(Arc::new(disk), Options::default()).expect("a spool");
    recovery.run(&mut |_| {}).expect("an empty spool");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    runtime.block_on(async {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (spool, next) = (spool.clone(), next.clone());
                tokio::spawn(async move {
                    while next.fetch_add(1, Ordering::Relaxed) < total {
                        let draft = Draft {
                            id: None,
                            received_at: jiff::Timestamp::now(),
                            sender: "a@example.org".into(),
                            recipients: vec!["b@one.test".into()],
                            eight_bit: false,
                            extras: None,
                            client: Client::default(),
                            purpose: Purpose::Client,
                        };
                        let body = bytes::Bytes::from(vec![b'x'; OCTETS]);
                        let stored = spool.append(draft, body.into()).await.expect("stored");
                        let outcomes = vec![(0, Outcome::Delivered)];
                        spool.mark(Mark { id: stored.id, location: stored.location, outcomes });
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("a caller ends");
        }
    });
    Rate(total as f64 / begun.elapsed().as_secs_f64())
}

fn raft_engine(folder: &Path, callers: u64, total: u64) -> Rate {
    let config = Config { dir: folder.display().to_string(), ..Config::default() };
    let engine = Engine::open(config).expect("raft-engine");
    spread(callers, total, |number| {
        // What is put is kept in memory too; its own entries, which are not, need a region and an order of their own.
        let mut batch = LogBatch::default();
        batch.put(1, number.to_be_bytes().to_vec(), vec![b'x'; OCTETS]).expect("a batch");
        engine.write(&mut batch, true).expect("stored");
        let mut batch = LogBatch::default();
        batch.delete(1, number.to_be_bytes().to_vec());
        engine.write(&mut batch, false).expect("deleted");
    })
}

fn fjall(folder: &Path, callers: u64, total: u64) -> Rate {
    let database = Database::builder(folder).open().expect("fjall");
    let mail = database.keyspace("mail", KeyspaceCreateOptions::default).expect("a keyspace");
    spread(callers, total, |number| {
        mail.insert(number.to_be_bytes(), [b'x'; OCTETS]).expect("stored");
        database.persist(PersistMode::SyncData).expect("synced");
        mail.remove(number.to_be_bytes()).expect("deleted");
    })
}

fn redb(folder: &Path, callers: u64, total: u64) -> Rate {
    const MAIL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("mail");
    let database = redb::Database::create(folder.join("mail.redb")).expect("redb");
    let rate = spread(callers, total, |number| {
        let write = database.begin_write().expect("a transaction");
        {
            let mut mail = write.open_table(MAIL).expect("a table");
            mail.insert(number, [b'x'; OCTETS].as_slice()).expect("stored");
            // Deletes share the next one's transaction: a transaction is a sync.
            if let Some(before) = number.checked_sub(callers) {
                mail.remove(before).expect("deleted");
            }
        }
        write.commit().expect("synced");
    });
    drop(database.begin_read());
    rate
}

#[cfg(feature = "rocksdb")]
fn rocksdb(folder: &Path, callers: u64, total: u64) -> Rate {
    let database = rocksdb::DB::open_default(folder).expect("RocksDB");
    let mut synced = rocksdb::WriteOptions::default();
    synced.set_sync(true);
    // Its write group shares one sync of the log among the callers that wait.
    spread(callers, total, |number| {
        database.put_opt(number.to_be_bytes(), [b'x'; OCTETS], &synced).expect("stored");
        database.delete(number.to_be_bytes()).expect("deleted");
    })
}

type Store = fn(&Path, u64, u64) -> Rate;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let total = arguments.next().map_or(20_000, |text| text.parse().expect("a number of messages"));
    let parent = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let stores: &[(&str, Store)] = &[
        ("own segments", own),
        ("raft-engine", raft_engine),
        ("fjall", fjall),
        ("redb", redb),
        #[cfg(feature = "rocksdb")]
        ("RocksDB", rocksdb),
    ];
    println!("| store | 1 caller | 50 callers |\n| --- | --- | --- |");
    for (name, store) in stores {
        let rates = CALLERS.map(|callers| {
            let folder = tempfile::tempdir_in(&parent).expect("a folder");
            // One caller is bound by the disk alone, and needs fewer.
            store(folder.path(), callers, if callers == 1 { total / 8 } else { total }).0
        });
        println!("| {name} | {:.0}/s | {:.0}/s |", rates[0], rates[1]);
    }
}
