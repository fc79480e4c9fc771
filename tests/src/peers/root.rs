//! A root folder of its own for a server whose Debian package conflicts with Postfix's: unpacked, never installed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Missing, built, needs_root};
use crate::process::{self, Process};

/// Makes the mounts and becomes the server: `$1` is the root, the rest the server's command. It has the machine's libraries,
/// and sees no process but its own. The shell stays the first of these, with which all of them end: a server that changes its
/// user would outlive who started it.
const ENTER: &str = "root=$1; shift
for folder in /usr/lib /usr/lib64; do
  [ -d $folder ] && mkdir -p $root$folder && mount --bind $folder $root$folder
done
mount --rbind /dev $root/dev && mount -t proc proc $root/proc
chroot $root \"$@\"; exit $?";

/// A root folder.
#[derive(Debug)]
pub struct Root {
    folder: TempDir,
}

impl Root {
    /// One with the files of an unpacked package, and these users besides root, each with a group of its name.
    ///
    /// # Errors
    /// When the package is not there, or this user may not do that.
    pub fn new(package: &str, users: &[(&str, u32)]) -> Result<Root, Missing> {
        needs_root()?;
        let package = built(package)?;
        let folder = TempDir::new().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("let the server's users in");
        let root = Root { folder };
        process::run(Command::new("cp").arg("-a").arg(package.join(".")).arg(root.folder.path()));
        for name in ["dev", "proc", "tmp", "run", "etc", "var/lib", "var/log", "var/spool", "usr"] {
            root.folder(name, 0, 0o755);
        }
        for (link, target) in [("lib64", "usr/lib64"), ("var/run", "../run")] {
            let _ = symlink(target, root.path(link));
        }
        // What of the package is in /lib are units of systemd, which nobody starts here.
        let _ = fs::remove_dir_all(root.path("lib"));
        symlink("usr/lib", root.path("lib")).expect("/lib as /usr/lib");
        let accounts = [("root", 0)].iter().chain(users).copied();
        let passwd: String = accounts.clone().map(|(name, id)| format!("{name}:x:{id}:{id}::/:/bin/false\n")).collect();
        let group: String = accounts.map(|(name, id)| format!("{name}:x:{id}:\n")).collect();
        for (name, text) in [
            ("etc/passwd", passwd.as_str()),
            ("etc/group", &group),
            ("etc/hosts", "127.0.0.1 localhost\n"),
            ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
            ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
        ] {
            root.write(name, text);
        }
        Ok(root)
    }

    /// A path in it, as this process sees it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a folder in it, for this user.
    pub fn folder(&self, name: &str, user: u32, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        chown(&path, Some(user), Some(user)).expect("give a folder to its user");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a folder's mode");
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("write {name}: {error}"));
    }

    /// Writes a file in it that root alone may read.
    pub fn secret(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).expect("a file's mode");
    }

    /// Starts the server, which stays in the foreground; what it says goes into `log` there.
    #[must_use]
    pub fn start(&self, command: &[&str]) -> Process {
        let log = fs::File::create(self.path("log")).expect("a log");
        let errors = log.try_clone().expect("a log");
        Process::start(
            Command::new("unshare")
                .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"])
                .arg::<&Path>(self.folder.path())
                .args(command)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors),
        )
    }
}
