//! A private Postfix: a configuration, a queue and a port of its own; nothing of the system's is started or changed.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::process::{self, Process};

/// How long it may take to stop of its own accord.
const STOP_TIME: Duration = Duration::from_secs(5);

/// The services of a Postfix that takes mail on one port and relays it, none of them in a chroot.
const MASTER: &str = "
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
showq     unix n - n - - showq
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
tlsmgr    unix - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
tlsmgr    unix - - n 1000? 1 tlsmgr
tlsproxy  unix - - n - 0 tlsproxy
";

/// A Postfix that runs until it is dropped.
#[derive(Debug)]
pub struct Postfix {
    folder: TempDir,
    process: Process,
    /// Where it takes mail.
    pub address: SocketAddr,
}

impl Postfix {
    /// Starts one that sends everything to `next_hop`, as fast as it can. It takes root.
    #[must_use]
    pub fn start(next_hop: SocketAddr) -> Postfix {
        Postfix::start_with(next_hop, "")
    }

    /// Starts one with these lines at the end of its main.cf. It takes root.
    #[must_use]
    pub fn start_with(next_hop: SocketAddr, settings: &str) -> Postfix {
        Postfix::start_beside(&[], next_hop, settings)
    }

    /// Starts one so, with these files beside its main.cf, each by its path there. It takes root.
    #[must_use]
    pub fn start_beside(files: &[(&str, &str)], next_hop: SocketAddr, settings: &str) -> Postfix {
        let folder = TempDir::new().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("let Postfix's user in");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["etc", "queue", "data"] {
            fs::create_dir(path(name)).expect("a folder for Postfix");
        }
        process::run(Command::new("chown").args(["postfix", &path("data")]));
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\nmaillog_file = {}\nmaillog_file_prefixes = /\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = postfix.test\nmydestination =\nmynetworks = 127.0.0.0/8\n\
             relayhost = [{}]:{}\nalias_maps =\nalias_database =\nlocal_transport = error:no local mail\n\
             default_process_limit = 200\nsmtp_destination_concurrency_limit = 50\nrelay_destination_concurrency_limit = 50\n\
             default_destination_concurrency_limit = 50\ninitial_destination_concurrency = 20\nin_flow_delay = 0\n\
             smtpd_peername_lookup = no\nsmtp_tls_security_level = none\nsmtpd_tls_security_level = none\n\
             smtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\nsmtp_host_lookup = native\n{settings}",
            path("queue"),
            path("data"),
            path("log"),
            next_hop.ip(),
            next_hop.port(),
        );
        fs::write(path("etc/main.cf"), main).expect("write main.cf");
        let master = format!("{address} inet n - n - - smtpd{MASTER}");
        fs::write(path("etc/master.cf"), master).expect("write master.cf");
        for (name, text) in files {
            let file = folder.path().join("etc").join(name);
            file.parent().map(fs::create_dir_all).transpose().expect("a folder for Postfix");
            fs::write(file, text).expect("write a file for Postfix");
        }
        let program = "/usr/sbin/postfix";
        process::run(Command::new(program).args(["-c", &path("etc"), "check"]));
        let process = Process::start(
            Command::new(program).args(["-c", &path("etc"), "start-fg"]).stdout(Stdio::null()).stderr(Stdio::null()),
        );
        process::await_port(address);
        Postfix { folder, process, address }
    }

    /// The id of its first process, from which all others descend.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The folder of its configuration.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// What it wrote into its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its queue, as `postqueue -j` lists it: a message in JSON a line.
    #[must_use]
    pub fn listing(&self) -> String {
        process::run(Command::new("/usr/sbin/postqueue").arg("-c").arg(self.etc()).arg("-j"))
    }

    /// The folder of its queue.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.folder.path().join("queue")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Its master takes its children with it. `postfix stop` writes into its log first, and hangs where that is stuck.
        let file = fs::read_to_string(self.folder.path().join("queue/pid/master.pid")).unwrap_or_default();
        let Some(master) = file.trim().parse().ok().and_then(Pid::from_raw) else { return };
        let end = Instant::now() + STOP_TIME;
        while kill_process(master, Signal::TERM).is_ok() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        // Nobody is there any more, or it is stuck as well.
        let _ = kill_process_group(master, Signal::KILL);
    }
}
