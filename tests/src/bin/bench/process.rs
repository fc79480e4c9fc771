//! What `/proc` tells of a server: all of its processes together, and the disk below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

/// Ticks in which the kernel counts processor time: a constant of Linux's interface (`USER_HZ`).
const TICKS: u64 = 100;

/// Octets of a sector, in which the kernel counts what a disk takes.
const SECTOR: u64 = 512;

/// A process and all that descend from it.
pub(crate) fn family(root: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        if let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>()
            && let Some(fields) = stat(id)
            && let Some(parent) = fields.get(1).and_then(|field| field.parse().ok())
        {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = BTreeSet::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(children.get(&id).into_iter().flatten());
        }
    }
    found
}

/// The fields of `/proc/ID/stat` behind the name: the first is the state, the second the parent.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// The processor time that a server has taken, its ended children's included.
pub(crate) fn cpu(root: u32) -> Duration {
    // utime, stime, cutime, cstime.
    family(root).into_iter().map(|id| time(id, 11..15)).sum()
}

/// The processor time that one process has taken, that of no child.
pub(crate) fn own_cpu(id: u32) -> Duration {
    time(id, 11..13)
}

fn time(id: u32, fields: Range<usize>) -> Duration {
    let all = stat(id).unwrap_or_default();
    let ticks = all.get(fields).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// The octets of memory that a server has: what processes share is counted once (the proportional set size).
pub(crate) fn memory(root: u32) -> u64 {
    family(root).into_iter().filter_map(|id| kilobytes(&format!("/proc/{id}/smaps_rollup"), "Pss:")).sum::<u64>() << 10
}

/// The resident memory of one process, in octets.
pub(crate) fn resident(id: u32) -> u64 {
    kilobytes(&format!("/proc/{id}/status"), "VmRSS:").unwrap_or(0) << 10
}

/// What of that is no page of its program, which the kernel can take back and read again.
pub(crate) fn own_memory(id: u32) -> u64 {
    kilobytes(&format!("/proc/{id}/status"), "RssAnon:").unwrap_or(0) << 10
}

fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The octets that one process has caused to be written to disks.
pub(crate) fn written(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/io")).expect("a process's I/O");
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|octets| octets.parse().ok()).expect("write_bytes")
}

/// The octets that the disk below a folder has taken from everybody, its file system's journal included; none where the
/// folder is on no disk.
pub(crate) fn disk_written(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).expect("a folder").dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    let (major, minor) = (major.to_string(), minor.to_string());
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.first() == Some(&major.as_str()) && fields.get(1) == Some(&minor.as_str());
        if ours { Some(fields.get(9)?.parse::<u64>().ok()? * SECTOR) } else { None }
    })
}

/// The octets that the files in a folder take on the disk.
pub(crate) fn held(folder: &Path) -> u64 {
    let mut octets = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Ok(metadata) = entry.metadata() {
            octets += if metadata.is_dir() { held(&entry.path()) } else { metadata.blocks() * SECTOR };
        }
    }
    octets
}
