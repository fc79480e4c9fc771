//! The operating system's own errors, by their numbers on Linux.

use std::fmt;

use super::{Entry, Numbered, entry};

/// An error of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(i32);

impl Errno {
    /// No answer in time.
    pub const TIMED_OUT: Errno = Errno(110);

    /// The error of this number.
    #[must_use]
    pub const fn new(number: i32) -> Errno {
        Errno(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its name as the system's manual spells it, for one that network and disk are known to give.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        known(self.0).map(|(_, name, _)| *name)
    }

    /// What the catalogue says of it.
    #[must_use]
    pub fn entry(self) -> Entry {
        known(self.0).map_or(OTHER, |(_, _, entry)| *entry)
    }

    /// The error of this name, as it is shown: `ECONNREFUSED`, or `errno 9999`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Errno> {
        match name.strip_prefix("errno ") {
            Some(number) => number.parse().ok().map(Errno),
            None => KNOWN.iter().find(|(_, known, _)| *known == name).map(|(number, ..)| Errno(*number)),
        }
    }

    /// Those that have a name here.
    pub fn all() -> impl Iterator<Item = Errno> {
        KNOWN.iter().map(|(number, ..)| Errno(*number))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

fn known(number: i32) -> Option<&'static Numbered<i32>> {
    KNOWN.iter().find(|(known, ..)| *known == number)
}

/// For numbers that have no entry.
pub(super) const OTHER: Entry = entry(
    "The system gave an error that network and disk seldom give.",
    "A fault of the kernel, a driver, or a security module.",
    "Look the number up with `errno NUMBER` (package moreutils), and look into the kernel's log (dmesg).",
);

const KNOWN: [Numbered<i32>; 26] = [
    (
        1,
        "EPERM",
        entry(
            "The system does not permit the connection.",
            "A packet filter on the relay's own machine that rejects (nftables, iptables), or a security module.",
            "Look at the packet filter of the node and at NetworkPolicies for traffic that leaves to this port.",
        ),
    ),
    (
        5,
        "EIO",
        entry(
            "Reading or writing failed.",
            "A disk or its controller that fails, or a volume that was taken away.",
            "Look into the kernel's log, save the spool, and replace the disk.",
        ),
    ),
    (
        11,
        "EAGAIN",
        entry(
            "The system has none left just now: of local ports, or of another resource.",
            "Very many connections from one address to one host.",
            "Lower limits.connectionsPerHost, or widen net.ipv4.ip_local_port_range.",
        ),
    ),
    (
        12,
        "ENOMEM",
        entry(
            "The system has no memory left for it.",
            "The pod or the node is short of memory.",
            "Raise the pod's memory limit, or lower limits.connections.",
        ),
    ),
    (
        13,
        "EACCES",
        entry(
            "The system refuses access.",
            "Rights on a file, a packet filter that prohibits, or a security module.",
            "Look at the rights of the spool's folder, or at the packet filter if it happened at stage Connect.",
        ),
    ),
    (
        19,
        "ENODEV",
        entry(
            "There is no such network interface.",
            "The source.interface of the route names one that this machine lacks, or that is down.",
            "Correct the route's source, or bring the interface up.",
        ),
    ),
    (
        22,
        "EINVAL",
        entry(
            "The system takes what was asked for as wrong.",
            "The node has a blackhole route for the address; or it cannot be connected to, as a link-local one without its interface.",
            "See what `ip route get ADDRESS` says on the node; network plugins make blackhole routes. Else look where the address comes from.",
        ),
    ),
    (
        23,
        "ENFILE",
        entry(
            "The whole machine has no file descriptor left.",
            "Some process on the node holds very many files or connections.",
            "Find it, or raise fs.file-max on the node; the relay tries again every ten seconds.",
        ),
    ),
    (
        24,
        "EMFILE",
        entry(
            "The relay has no file descriptor left.",
            "limits.connections and the clients' connections together are more than the process may hold.",
            "Raise the limit of open files (LimitNOFILE, ulimit -n), or lower limits.connections.",
        ),
    ),
    (
        28,
        "ENOSPC",
        entry(
            "The disk is full.",
            "More mail waits than the spool's volume holds, or something else fills it.",
            "Make room or enlarge the volume; the relay takes mail again by itself as soon as there is room.",
        ),
    ),
    (
        30,
        "EROFS",
        entry(
            "The disk can only be read.",
            "The system mounted it so after an error, or it was mounted so on purpose.",
            "Look into the kernel's log, check the file system, and mount it for writing again.",
        ),
    ),
    (
        32,
        "EPIPE",
        entry(
            "The host had closed the connection when more was to be sent.",
            "A host that ends sessions in the middle, for load or because it has had enough.",
            "If it lasts, set the log of the host to LowLevel and look at its last reply.",
        ),
    ),
    (
        97,
        "EAFNOSUPPORT",
        entry(
            "The machine has no addresses of this family, or the route's source has none.",
            "An IPv6 address is tried where there is no IPv6, or the route's source is of the other family.",
            "Give the route's source an address of this family, or leave the family out of it.",
        ),
    ),
    (
        98,
        "EADDRINUSE",
        entry(
            "The address and port are taken.",
            "Another process listens there, or all ports of the route's source are in use to this host.",
            "Find who has it with `ss -tanp`; lower limits.connectionsPerHost.",
        ),
    ),
    (
        99,
        "EADDRNOTAVAIL",
        entry(
            "The machine does not have the address to connect from, or no port of it is left.",
            "The route's source names an address of another machine, or the interface lost it.",
            "Correct the route's source, or put the address back on an interface.",
        ),
    ),
    (
        100,
        "ENETDOWN",
        entry(
            "The relay's own network is down.",
            "An interface or a tunnel of the node is down.",
            "Bring it up; the relay tries again every ten seconds, and nothing is held against any host.",
        ),
    ),
    (
        101,
        "ENETUNREACH",
        entry(
            "There is no route to the host's network.",
            "The machine has no default route, or no IPv6 where the host has nothing else.",
            "Look at the routing table of the node (`ip route get ADDRESS`).",
        ),
    ),
    (
        102,
        "ENETRESET",
        entry(
            "The network dropped the connection.",
            "A router or tunnel that restarted.",
            "If it lasts, look at the path to the host (`mtr ADDRESS`).",
        ),
    ),
    (
        103,
        "ECONNABORTED",
        entry(
            "The system gave the connection up.",
            "A network that changed under it: an address that went, a tunnel that was rebuilt.",
            "If it lasts, look at the node's network and its log.",
        ),
    ),
    (
        104,
        "ECONNRESET",
        entry(
            "The host, or something on the way to it, reset the connection.",
            "A server that crashed or is overloaded, or a firewall that cuts connections off, often for what they carry.",
            "See the stage: at Banner it is a firewall or a list of unwanted senders; later compare with another network.",
        ),
    ),
    (
        105,
        "ENOBUFS",
        entry(
            "The system has no buffers left for the network.",
            "Very many connections, or too little memory for the kernel.",
            "Lower limits.connections, or raise net.core and net.ipv4 tcp_mem settings.",
        ),
    ),
    (
        110,
        "ETIMEDOUT",
        entry(
            "The host did not answer in time.",
            "At stage Connect port 25 is blocked on the way, which many providers do, or the host is off; later it is overloaded.",
            "Try `nc -vz HOST 25` from the node; ask the provider to open port 25, or use a smarthost on port 587.",
        ),
    ),
    (
        111,
        "ECONNREFUSED",
        entry(
            "The host refused the connection: nothing listens on that port.",
            "The mail server is stopped, listens elsewhere, or a firewall rejects.",
            "Look at address and port in the text; start the server, or correct the route's port.",
        ),
    ),
    (
        112,
        "EHOSTDOWN",
        entry(
            "The host is down, as far as the network knows.",
            "It is switched off, or its link is.",
            "Look whether it can be reached from another machine of its network.",
        ),
    ),
    (
        113,
        "EHOSTUNREACH",
        entry(
            "A router on the way says that the host cannot be reached.",
            "The host is off, its network is not announced, or a firewall rejects with this answer.",
            "Look at the path (`mtr ADDRESS`) and at firewalls on it.",
        ),
    ),
    (
        122,
        "EDQUOT",
        entry(
            "The quota on the disk is used up.",
            "The spool's user or project has a quota that the mail fills.",
            "Raise the quota; the relay takes mail again by itself.",
        ),
    ),
];
