//! Recovery: reads the segments back, from the newest to the oldest. So the outcomes of a message are known before the message
//! is met, and what waits longest in the queue for its next attempt is not what is found last.
//!
//! It runs while mail is taken and delivered: what it reads is not written to any more.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::batch::Command;
use super::body::body_name;
use super::damage::{Collector, move_aside};
use super::error::SpoolError;
use super::message::{At, Location, MessageId, Outcome};
use super::payload::{Head, StoredMark};
use super::pending::gather;
use super::recipients::RecipientSet;
use super::record::{Header, Kind, RECORD_HEAD, Walk};
use super::report::{Damage, Recovered, RecoveryReport};
use super::segment::Segment;
use super::shared::Shared;
use super::survey::{Survey, walk_known};
use super::table::{BodyRef, NewEntry, Table};

/// The part of opening a spool that takes time. Until it is through, no segment is removed or compacted.
#[derive(Debug)]
#[must_use = "what is in the spool is found only by running this"]
pub struct Recovery {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    segments: Vec<Arc<Segment>>,
    bodies: BTreeSet<u64>,
    report: RecoveryReport,
}

impl Recovery {
    pub(super) fn new(shared: Arc<Shared>, commands: Sender<Command>, survey: Survey) -> Self {
        let Survey { segments, bodies, torn_bytes, damage, swept, .. } = survey;
        let report = RecoveryReport { torn_bytes, damage, swept, ..RecoveryReport::default() };
        Self { shared, commands, segments, bodies, report }
    }

    /// Reads all segments, and tells `found` of each message that has recipients left: the newest segment first, in the order
    /// of acceptance within each. Waits for the disk.
    ///
    /// # Errors
    /// [`SpoolError::UnsupportedFormat`] when a later version has written to the spool, [`SpoolError::Io`] when a segment
    /// cannot be read at all, [`SpoolError::Closed`] when the spool was closed meanwhile. What was told until then stays told.
    pub fn run(self, found: &mut dyn FnMut(Recovered)) -> Result<RecoveryReport, SpoolError> {
        let Self { shared, commands, segments, bodies, mut report } = self;
        let mut reader = Reader {
            shared: &shared,
            present: segments.iter().map(|segment| segment.head.number).collect(),
            bodies: &bodies,
            marks: HashMap::new(),
            moved: HashSet::new(),
            needed: HashSet::new(),
        };
        report.damage.iter().for_each(|damage| shared.note_damage(&damage.file, damage.offset, damage));
        for segment in segments.iter().rev() {
            let Read { table, messages, damage } = reader.segment(segment)?;
            damage.iter().for_each(|damage| shared.note_damage(&damage.file, damage.offset, damage));
            report.damage.extend(damage);
            report.messages += messages.len();
            // The writer must know the message before anybody can send a mark for it.
            commands.send(Command::Adopt(table)).map_err(|_| SpoolError::Closed)?;
            messages.into_iter().for_each(&mut *found);
        }
        let needed = reader.needed;
        commands.send(Command::Recovered).map_err(|_| SpoolError::Closed)?;
        for orphan in bodies.iter().filter(|number| !needed.contains(number)) {
            report.swept += usize::from(sweep(&shared, *orphan, &report.damage));
        }
        Ok(report)
    }
}

/// Removes a text that no record speaks of; where records are damaged it may be what is left of one of them, and is set aside.
fn sweep(shared: &Shared, body: u64, damage: &[Damage]) -> bool {
    let name = body_name(body);
    // What stays is met again at the next start.
    if damage.is_empty() {
        return shared.storage.remove(&name).is_ok();
    }
    let _ = move_aside(&*shared.storage, &name);
    false
}

/// What newer segments tell of a message in an older one.
#[derive(Debug)]
struct Told {
    id: MessageId,
    done: Vec<u16>,
    deferred_at: Option<At>,
}

/// What one segment has.
struct Read {
    table: Table,
    messages: Vec<Recovered>,
    damage: Vec<Damage>,
}

struct Reader<'a> {
    shared: &'a Shared,
    present: HashSet<u32>,
    bodies: &'a BTreeSet<u64>,
    /// By segment and offset of the message. A segment's part goes when the segment is read: nothing older has marks for it.
    marks: HashMap<u32, HashMap<u32, Told>>,
    /// Messages of which a newer copy was met: the older ones are dead.
    moved: HashSet<MessageId>,
    /// Texts of messages that live.
    needed: HashSet<u64>,
}

impl Reader<'_> {
    fn segment(&mut self, segment: &Segment) -> Result<Read, SpoolError> {
        let octets = segment.read_whole()?.octets;
        let walk = walk_known(segment, &octets)?;
        let number = segment.head.number;
        let mut table = Table::new(number, octets.len() as u64);
        let mut damage = Collector::new(&*self.shared.storage, segment, &octets);
        walk.bad.iter().for_each(|stretch| damage.stretch(*stretch));
        self.read_marks(segment, &walk, &mut table, &mut damage);

        let mut messages = Vec::new();
        let mut moved_here = Vec::new();
        let told = self.marks.remove(&number).unwrap_or_default();
        for (offset, header) in walk.records.iter().filter(|(_, header)| is_message(header)) {
            let told = told.get(offset).filter(|told| told.id == header.id);
            let payload = payload(&octets, *offset, header);
            let Ok((head, _)) = Head::decode(header.id, payload) else {
                damage.record(extent(*offset, header), header.id, "the envelope of a message cannot be read");
                continue;
            };
            if let Some(origin) =
                head.moved.as_ref().map(|moved| moved.from.segment).filter(|n| self.present.contains(n))
            {
                table.refers_to.insert(origin);
                moved_here.push(header.id);
            }
            if self.moved.contains(&header.id) {
                continue;
            }
            let place = Location { segment: number, offset: *offset, len: header.total() as u32 };
            match self.message(place, head, told, &mut table) {
                Ok(message) => messages.extend(message),
                Err(what) => damage.record(extent(*offset, header), header.id, what),
            }
        }
        self.moved.extend(moved_here);
        table.shrink();
        table.pinned = damage.unsaved;
        let damage = damage.found;
        Ok(Read { table, messages, damage })
    }

    fn read_marks(&mut self, segment: &Segment, walk: &Walk, table: &mut Table, damage: &mut Collector<'_>) {
        for (offset, header) in walk.records.iter().filter(|(_, header)| header.kind == Kind::Mark) {
            let Ok(mark) = StoredMark::decode(payload(damage.octets, *offset, header)) else {
                let what = "an outcome cannot be read; its message may be delivered twice";
                damage.record(extent(*offset, header), header.id, what);
                continue;
            };
            let At { segment: target, offset: at } = mark.target;
            if !self.present.contains(&target) {
                continue;
            }
            if target != segment.head.number {
                table.refers_to.insert(target);
            }
            let told = self.marks.entry(target).or_default().entry(at).or_insert_with(|| Told {
                id: header.id,
                done: Vec::new(),
                deferred_at: None,
            });
            let here = At { segment: segment.head.number, offset: *offset };
            for (recipient, outcome) in mark.outcomes {
                match outcome {
                    Outcome::Delivered | Outcome::Failed | Outcome::Removed => told.done.push(recipient),
                    Outcome::Deferred(_) => told.deferred_at = told.deferred_at.max(Some(here)),
                }
            }
        }
    }

    /// Enters a message that has recipients left; says what is wrong when its text has gone.
    fn message(
        &mut self,
        place: Location,
        head: Head,
        told: Option<&Told>,
        table: &mut Table,
    ) -> Result<Option<Recovered>, &'static str> {
        let Head { envelope, file, moved } = head;
        let mut pending = RecipientSet::first(envelope.recipients.len());
        let base = match moved {
            None => Vec::new(),
            Some(moved) => {
                let left: RecipientSet = moved.pending.iter().map(|pending| pending.recipient).collect();
                pending.retain(|recipient| left.contains(recipient));
                moved.pending
            }
        };
        told.into_iter().flat_map(|told| &told.done).for_each(|recipient| pending.remove(*recipient));
        if pending.is_empty() {
            return Ok(None);
        }
        let body = file.map(|file| BodyRef { number: file.number, size: envelope.size });
        if let Some(body) = body {
            self.check_text(body)?;
            self.needed.insert(body.number);
        }
        let deferred_at = told.and_then(|told| told.deferred_at);
        let states = gather(self.shared, envelope.id, place.at(), &pending, &base, deferred_at);
        table.push(NewEntry { offset: place.offset, len: place.len, pending, deferred_at, body, handle: None });
        Ok(Some(Recovered { envelope, location: place, pending: states }))
    }

    /// That the file of a text is there, and as long as it was. What is in it is checked when it is read.
    fn check_text(&self, body: BodyRef) -> Result<(), &'static str> {
        if !self.bodies.contains(&body.number) {
            return Err("the file with a message's text is missing");
        }
        let size = self.shared.storage.open(&body_name(body.number)).and_then(|file| file.size());
        match size {
            Ok(size) if size == body.size => Ok(()),
            Ok(_) => Err("the file with a message's text has not the length that it had"),
            Err(_) => Err("the file with a message's text cannot be opened"),
        }
    }
}

fn is_message(header: &Header) -> bool {
    matches!(header.kind, Kind::Message | Kind::Moved)
}

fn extent(offset: u32, header: &Header) -> (u32, u32) {
    (offset, header.total() as u32)
}

fn payload<'a>(octets: &'a [u8], offset: u32, header: &Header) -> &'a [u8] {
    let start = offset as usize + RECORD_HEAD;
    octets.get(start..start + header.len as usize).unwrap_or_default()
}
