//! How the relay does.

use mailsluice_crds::monitor::client::refused_lately;
use mailsluice_ctl::{
    HostName,
    words::status::{HOSTS, LevelChanged, StatusSaid},
};

use super::Control;
use crate::{clock, log::Override};

impl Control {
    pub(super) fn status(&self) -> StatusSaid {
        let snapshot = self.monitor.snapshot(HOSTS);
        let (complete, holds) = self.courier.queue.read(|queue| (queue.is_complete(), queue.holds().list()));
        let changed = |Override { host, level, until }| {
            let host = host.map(|host| host.parse::<HostName>()).transpose().ok()?;
            Some(LevelChanged { host, level, until })
        };
        let now = clock::now();
        StatusSaid {
            now,
            started: self.started,
            relay: snapshot.relay,
            version: snapshot.version,
            accepts_mail: self.monitor.accepts_mail(),
            recovering: !complete,
            log_level: snapshot.log_level,
            levels: self.courier.log.overrides().into_iter().filter_map(changed).collect(),
            link: snapshot.link,
            connections: self.courier.gate.connections(),
            queue: snapshot.queue,
            problems: snapshot.problems,
            holds,
            hosts: snapshot.monitor,
            hosts_not_shown: snapshot.hosts_not_shown,
            clients: refused_lately(&snapshot.clients, now).map(|(row, _)| row.clone()).collect(),
        }
    }
}
