//! A limit to the share of the processors that a process may take, as the kubelet puts one on a container: by a control group of its own.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// In microseconds: how often a process has its share anew.
const PERIOD: u32 = 20_000;

/// A process under a limit, which ends when this is dropped.
#[derive(Debug)]
pub struct Quota {
    group: PathBuf,
    process: u32,
    /// The group that it was in.
    home: PathBuf,
}

impl Quota {
    /// Limits a process to so many thousandths of a processor.
    ///
    /// # Errors
    ///
    /// Without root, or without control groups whose controller `cpu` can be had.
    pub fn limit(process: u32, thousandths: u32) -> io::Result<Quota> {
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
        let first = Path::new("/sys/fs/cgroup/cpu");
        let quota = thousandths * (PERIOD / 1_000);
        let (root, home, limits) = if first.join("cpu.cfs_quota_us").exists() {
            let limits = vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (first, home(&groups, |controllers| controllers.split(',').any(|one| one == "cpu")), limits)
        } else {
            let second = Path::new("/sys/fs/cgroup");
            write(&second.join("cgroup.subtree_control"), "+cpu")?;
            (second, home(&groups, str::is_empty), vec![("cpu.max", format!("{quota} {PERIOD}"))])
        };
        let group = root.join(format!("mailsluice-{process}"));
        let home = root.join(home.ok_or(io::ErrorKind::Unsupported)?);
        fs::create_dir(&group)?;
        let limited = Quota { group, process, home };
        for (file, value) in limits {
            write(&limited.group.join(file), &value)?;
        }
        write(&limited.group.join("cgroup.procs"), &process.to_string())?;
        Ok(limited)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // It may have ended.
        let _ = write(&self.home.join("cgroup.procs"), &self.process.to_string());
        let _ = fs::remove_dir(&self.group);
    }
}

/// The group of the hierarchy with such controllers, from what Linux says of a process (cgroups(7), `/proc/PID/cgroup`).
fn home(groups: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        is_wanted(controllers).then(|| path.trim_start_matches('/'))
    })
}

/// To a file that is there: Linux makes those of a group.
fn write(file: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(value.as_bytes())
}
