//! Tests of the spool as a whole, on a simulated disk and on the real one.

mod crash;
mod damage;
pub(crate) mod driven;
mod formats;
mod inspect;
mod promises;
mod room;
pub(crate) mod simdisk;
mod transferred;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::writer::Engine;
use super::{
    Body, Client, Deferral, Draft, LastError, Location, Mark, MessageId, Options, Outcome, Recovered, Recovery,
    RecoveryReport, Spool, SpoolError, Stored, Told,
};
use simdisk::SimDisk;

/// Small segments, so that a test sees many.
const SEGMENT: u32 = 16 * 1024;
const INLINE_MAX: u32 = 4 * 1024;

fn options() -> Options {
    Options { segment_size: SEGMENT, inline_max: INLINE_MAX, on_sync: None }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + micros).unwrap()
}

fn draft(sender: &str, recipients: usize) -> Draft {
    Draft {
        received_at: at(0),
        sender: sender.to_owned(),
        recipients: (0..recipients).map(|n| format!("r{n}@example.com")).collect(),
        client: Client { address: "192.0.2.1:4025".parse().ok(), helo: "client.example".into(), session: "S1".into() },
        ..Draft::default()
    }
}

fn deferred(attempts: u32, text: &str) -> Outcome {
    let error = LastError { code: "451 4.7.1".into(), text: text.to_owned(), at: at(i64::from(attempts)) };
    Outcome::Deferred(Deferral { attempts, due: at(i64::from(attempts) * 1_000_000), error, told: Told::NOTHING })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

type Appending = Pin<Box<dyn Future<Output = Result<Stored, SpoolError>>>>;

/// A spool whose writer has no thread: the test says when it works. So a seed decides everything that happens.
struct Stepped {
    spool: Spool,
    engine: Engine,
    runtime: Runtime,
}

impl Stepped {
    fn open(disk: &SimDisk) -> Result<(Self, Recovery), SpoolError> {
        let (spool, recovery, engine) = Spool::assemble(Arc::new(disk.clone()), options())?;
        Ok((Self { spool, engine, runtime: runtime() }, recovery))
    }

    /// Opens, and reads everything back.
    fn recover(disk: &SimDisk) -> (Self, Vec<Recovered>, RecoveryReport) {
        let (mut stepped, recovery) = Self::open(disk).unwrap();
        let mut found = Vec::new();
        let report = recovery.run(&mut |message| found.push(message)).unwrap();
        stepped.turn();
        (stepped, found, report)
    }

    fn turn(&mut self) {
        let reply = self.engine.writer.turn(self.engine.commands.try_iter());
        assert!(reply.is_none());
    }

    fn tick(&mut self) {
        self.turn();
        self.engine.writer.tick();
    }

    /// Ticks until there is nothing left to be done.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.tick();
        }
    }

    fn begin(&self, draft: Draft, body: Body) -> Appending {
        let spool = self.spool.clone();
        let mut future: Appending = Box::pin(async move { spool.append(draft, body).await });
        assert!(poll(&mut future).is_pending());
        future
    }

    fn append(&mut self, draft: Draft, text: &[u8]) -> Result<Stored, SpoolError> {
        let body = self.body(text)?;
        let mut future = self.begin(draft, body);
        self.turn();
        match poll(&mut future) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("an append was not answered"),
        }
    }

    fn body(&self, text: &[u8]) -> Result<Body, SpoolError> {
        let mut writer = self.spool.begin_body();
        self.runtime.block_on(async {
            for chunk in text.chunks(3000) {
                writer.write(Bytes::copy_from_slice(chunk)).await?;
            }
            writer.finish().await
        })
    }

    fn flush(&mut self) -> Result<(), SpoolError> {
        let spool = self.spool.clone();
        let mut future: Pin<Box<dyn Future<Output = Result<(), SpoolError>>>> =
            Box::pin(async move { spool.flush().await });
        assert!(poll(&mut future).is_pending());
        self.turn();
        match poll(&mut future) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("a flush was not answered"),
        }
    }

    fn mark(&mut self, stored: Stored, outcomes: &[(u16, Outcome)]) {
        self.spool.mark(Mark { id: stored.id, location: stored.location, outcomes: outcomes.to_vec() });
        self.turn();
    }

    fn done(&mut self, stored: Stored) {
        self.mark(stored, &[(0, Outcome::Delivered)]);
    }

    /// Much mail comes and goes; each message is delivered when the next one is there.
    fn churn(&mut self, messages: usize) {
        let mut last = None;
        for _ in 0..messages {
            let one = self.append(draft("a@example.org", 1), &[b'x'; 1500]).unwrap();
            last.replace(one).into_iter().for_each(|last| self.done(last));
            self.tick();
        }
        last.into_iter().for_each(|last| self.done(last));
        self.settle();
    }

    fn text(&self, location: Location) -> Result<Vec<u8>, String> {
        self.runtime.block_on(read_text(&self.spool, location))
    }

    fn close(mut self) -> Result<(), SpoolError> {
        self.turn();
        self.engine.writer.finish()
    }
}

async fn read_text(spool: &Spool, location: Location) -> Result<Vec<u8>, String> {
    let (envelope, mut body) = spool.read(location).await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    while let Some(chunk) = body.next_chunk().await.map_err(|error| error.to_string())? {
        text.extend_from_slice(&chunk);
    }
    assert_eq!((body.size(), envelope.size), (text.len() as u64, text.len() as u64));
    Ok(text)
}

fn ids(found: &[Recovered]) -> Vec<MessageId> {
    let mut ids: Vec<_> = found.iter().map(|found| found.envelope.id).collect();
    ids.sort();
    ids
}
