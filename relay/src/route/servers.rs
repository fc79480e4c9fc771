//! Whom to ask: the system's DNS servers, or one that the command line names.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::dnssec::TrustAnchors,
    system_conf::parse_resolv_conf,
};

/// Where the system lists its DNS servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The longest that an answer of "no such name" is believed. It returns mail to its sender, so it is asked for anew
/// soon after the domain's owner may have mended it; the DNS server has a cache of its own.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// Answers that are remembered, of which a domain takes about three: more than the hosts that a relay has sessions with at a time,
/// and few enough that a queue for thousands of domains costs no memory here.
const CACHED_ANSWERS: u64 = 1_000;

/// Which DNS servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolverSource {
    /// Those of the system, as they change.
    System,
    /// This one.
    At(SocketAddr),
}

/// The DNS servers, and what is remembered of their answers.
pub(super) struct Servers {
    listed: Listed,
    anchors: Arc<TrustAnchors>,
    /// As answers come.
    plain: Mutex<Option<Loaded>>,
    /// With answers proved by DNSSEC: made when the first of them is asked for, so that it costs those nothing who never do.
    proved: Mutex<Option<Loaded>>,
}

/// Whether answers are proved by DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proofs {
    /// They are taken as they come.
    None,
    /// They are proved from the trust anchors on.
    Dnssec,
}

enum Listed {
    /// In a file such as `/etc/resolv.conf`.
    In(PathBuf),
    Fixed(Box<(ResolverConfig, ResolverOpts)>),
}

struct Loaded {
    resolver: TokioResolver,
    /// Of the file that it was made from.
    stamp: Option<Stamp>,
}

/// What changes with every change of a file, one put in its place included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let data = fs::metadata(path)?;
        Ok(Stamp {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl Servers {
    pub(super) fn new(source: ResolverSource, anchors: TrustAnchors) -> Servers {
        match source {
            ResolverSource::System => Servers::of(Listed::In(RESOLV_CONF.into()), anchors),
            ResolverSource::At(address) => Servers::fixed(address, ResolverOpts::default(), anchors),
        }
    }

    fn of(listed: Listed, anchors: TrustAnchors) -> Servers {
        Servers { listed, anchors: Arc::new(anchors), plain: Mutex::default(), proved: Mutex::default() }
    }

    pub(super) fn fixed(address: SocketAddr, options: ResolverOpts, anchors: TrustAnchors) -> Servers {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        Servers::of(Listed::Fixed(Box::new((config, options))), anchors)
    }

    /// The resolver for the servers that are listed now. The file is looked at before every look-up, for a pod lives
    /// longer than the list that it was started with; a list that cannot be read is no reason to forget the one
    /// before it.
    pub(super) fn current(&self, proofs: Proofs) -> Result<TokioResolver, ServersError> {
        let loaded = match proofs {
            Proofs::None => &self.plain,
            Proofs::Dnssec => &self.proved,
        };
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match &self.listed {
            Listed::In(path) => Stamp::of(path).ok(),
            Listed::Fixed(_) => None,
        };
        match &*loaded {
            Some(known) if known.stamp == stamp => Ok(known.resolver.clone()),
            known => match (self.load(proofs), known) {
                (Ok(resolver), _) => {
                    *loaded = Some(Loaded { resolver: resolver.clone(), stamp });
                    Ok(resolver)
                }
                (Err(_), Some(known)) => Ok(known.resolver.clone()),
                (Err(error), None) => Err(error),
            },
        }
    }

    fn load(&self, proofs: Proofs) -> Result<TokioResolver, ServersError> {
        let (config, mut options) = match &self.listed {
            Listed::In(path) => fs::read(path)
                .map_err(NetError::from)
                .and_then(parse_resolv_conf)
                .map_err(|source| ServersError { path: path.clone(), source })?,
            Listed::Fixed(fixed) => (**fixed).clone(),
        };
        // Mail goes where the DNS says, MX and addresses alike.
        options.use_hosts_file = ResolveHosts::Never;
        options.negative_max_ttl = Some(NEGATIVE_TTL);
        options.cache_size = CACHED_ANSWERS;
        // Aliases are part of what is proved.
        options.preserve_intermediates = true;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let builder = match proofs {
            Proofs::None => builder,
            Proofs::Dnssec => builder.with_trust_anchor(self.anchors.clone()),
        };
        builder.build().map_err(|source| ServersError { path: PathBuf::new(), source })
    }
}

/// The list of DNS servers cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the list of DNS servers {}: {source}", path.display())]
pub(super) struct ServersError {
    path: PathBuf,
    source: NetError,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(servers: &Servers) -> usize {
        servers.current(Proofs::None).unwrap().options().attempts
    }

    #[test]
    fn a_changed_list_is_obeyed_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let servers = Servers::of(Listed::In(path.clone()), TrustAnchors::empty());

        let missing = servers.current(Proofs::None).err().unwrap().to_string();
        assert!(missing.contains("resolv.conf"), "{missing}");

        fs::write(&path, "nameserver 192.0.2.1\noptions attempts:3\n").unwrap();
        assert_eq!(attempts(&servers), 3);

        // Put in its place, as a kubelet or a network manager does it.
        let next = folder.path().join("next");
        fs::write(&next, "nameserver 192.0.2.2\noptions attempts:4\n").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(attempts(&servers), 4);

        for broken in ["", "# no server\n"] {
            fs::write(&path, broken).unwrap();
            assert_eq!(attempts(&servers), 4, "{broken:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(attempts(&servers), 4);

        fs::write(&path, "nameserver 192.0.2.3\noptions attempts:5\n").unwrap();
        assert_eq!(attempts(&servers), 5);
    }

    #[test]
    fn the_hosts_file_is_never_asked() {
        let servers = Servers::new(ResolverSource::At(([127, 0, 0, 1], 53).into()), TrustAnchors::empty());
        assert_eq!(servers.current(Proofs::None).unwrap().options().use_hosts_file, ResolveHosts::Never);
    }
}
