//! The processor time that each part of the measurement takes: they share the machine, so what one of them takes the others wait for.

use std::{collections::BTreeMap, fs};

use mailsluice_tests::api::ApiServer;

/// Ticks a second in which the kernel counts it: a constant of Linux's interface (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What was taken when a part began.
pub(super) struct Processor {
    apiserver: u32,
    etcd: u32,
    before: BTreeMap<u32, f64>,
    /// The whole machine: what was idle, and all.
    machine: (f64, f64),
}

impl Processor {
    /// Begins to count.
    pub(super) fn begin(server: &ApiServer) -> Processor {
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        let before = ids.filter_map(|id| Some((id, seconds(id)?))).collect();
        let (apiserver, etcd) = server.ids();
        Processor { apiserver, etcd, before, machine: machine() }
    }

    /// What the parts took since then, an operator that has started since included; and how busy the machine was.
    pub(super) fn taken(&self, operator: u32) -> String {
        let of = |id: u32| seconds(id).unwrap_or_default() - self.before.get(&id).copied().unwrap_or_default();
        let parts = [of(self.apiserver), of(self.etcd), of(operator), of(std::process::id())];
        let [apiserver, etcd, operator, bench] = parts;
        let (idle, all) = machine();
        let (idle, all) = (idle - self.machine.0, all - self.machine.1);
        let others = all - idle - parts.iter().sum::<f64>();
        format!(
            "{:.1} s: API server {apiserver:.1}, etcd {etcd:.1}, operator {operator:.1}, bench {bench:.1}; other programs {:.1}; idle {idle:.1} of {all:.1} s",
            parts.iter().sum::<f64>(),
            others.max(0.0)
        )
    }
}

/// The processor time of a process.
fn seconds(id: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // utime and stime; the first field behind the name is the third.
    let fields = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    Some(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// The time of all cores: when they were idle or waited for the disk, and altogether.
fn machine() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let first = text.lines().next().expect("the line of all cores");
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in these.
    let fields: Vec<f64> = first.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let idle = fields.iter().skip(3).take(2).sum::<f64>();
    (idle / TICKS, fields.iter().sum::<f64>() / TICKS)
}
