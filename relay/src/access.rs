//! Who may relay: which clients, by where they come from and by what they show, and which senders each may use.
//!
//! How entries of `clients` combine:
//! - An entry *fits* a client that comes from one of its networks, where it lists any, and that is one of its users, service accounts
//!   or holders of certificates, where it lists any of these: a network and a user in one entry are that user from that network,
//!   and a user and a certificate in one entry are either of them.
//! - A message is taken if *one* entry that fits allows all of it: its envelope sender, and every address in its From and Sender. What
//!   one entry allows in the envelope and another in the header does not add up.
//! - An entry without `senders` allows everything, so that nothing of the header needs to be read where one fits.
//! - More entries can only allow more: their order means nothing.

mod accounts;
mod certificates;
mod failures;
mod pods;
mod senders;
mod tokens;
mod users;

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use mailsluice_crds::relay::{self, Client};

use crate::smtp::{Mailbox, Reply, ReversePath};
use senders::Senders;

pub use accounts::{Accounts, Verdict};
pub use certificates::{Authorities, Holder};
pub use tokens::{KEYS_FILE, KeysError, TokenError, TokenKeys, Verified};
pub use users::{HashKind, line as user_line};

/// Who may relay. Nobody may who is not listed.
#[derive(Debug, Default)]
pub struct Access {
    clients: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    networks: Vec<IpNet>,
    /// The Secret of its users.
    users: Option<String>,
    service_accounts: Vec<relay::ServiceAccount>,
    certificates: Option<relay::ClientCertificates>,
    senders: Senders,
}

/// A network that is not in CIDR notation.
#[derive(Debug, thiserror::Error)]
#[error("{network:?} is no network: write an address and a prefix length, such as \"198.18.0.0/24\"")]
pub struct NetworkError {
    network: String,
}

/// Reads networks in CIDR notation.
pub(crate) fn networks(texts: &[String]) -> Result<Vec<IpNet>, NetworkError> {
    texts.iter().map(|text| text.parse().map_err(|_| NetworkError { network: text.clone() })).collect()
}

/// Who a client has shown to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A user of this Secret.
    User {
        /// The Secret.
        secret: Arc<str>,
        /// The user's name.
        name: String,
    },
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::User { name, .. } => f.write_str(name),
            Identity::ServiceAccount { namespace, name } => write!(f, "system:serviceaccount:{namespace}:{name}"),
        }
    }
}

/// All that is known of a client.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Where it comes from.
    pub address: IpAddr,
    /// What it has shown by AUTH.
    pub identity: Option<&'a Identity>,
    /// What its certificate says.
    pub holder: Option<&'a Holder>,
    /// How it could show who it is, if it has not.
    pub way: Way,
}

/// How a client can show who it is in its session, as things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By AUTH, now.
    Auth,
    /// By AUTH, after STARTTLS.
    StartTlsFirst,
    /// Not at all, or it has done so.
    None,
}

/// The entries that allow a message so far, by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowing(Vec<usize>);

impl Access {
    /// Reads the list of a manifest.
    ///
    /// # Errors
    /// When a network is not in CIDR notation.
    pub fn new(clients: &[Client]) -> Result<Access, NetworkError> {
        let clients = clients
            .iter()
            .map(|client| {
                Ok(Listed {
                    networks: networks(&client.networks)?,
                    users: client.users.as_ref().map(|users| users.secret_name.clone()),
                    service_accounts: client.service_accounts.clone(),
                    certificates: client.certificates.clone(),
                    senders: Senders::new(&client.senders),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Access { clients })
    }

    /// Whether anybody is let in by a certificate, so that clients are to be asked for theirs.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.clients.iter().any(|entry| entry.certificates.is_some())
    }

    /// The Secrets with users, in the order of the list.
    pub fn user_secrets(&self) -> impl Iterator<Item = &str> + Clone {
        self.clients.iter().filter_map(|entry| entry.users.as_deref())
    }

    /// The Secrets with authorities of certificates.
    pub fn authority_secrets(&self) -> impl Iterator<Item = &str> + Clone {
        self.clients.iter().filter_map(|entry| Some(entry.certificates.as_ref()?.secret_name.as_str()))
    }

    /// Whether tokens of service accounts let anybody in.
    #[must_use]
    pub fn has_service_accounts(&self) -> bool {
        self.clients.iter().any(|entry| !entry.service_accounts.is_empty())
    }

    /// Whether an entry fits `peer`.
    #[must_use]
    pub fn lists(&self, peer: &Peer<'_>) -> bool {
        self.fitting(peer).next().is_some()
    }

    /// The name by which the holder of a certificate is known; None where no authority of ours has signed it.
    #[must_use]
    pub fn holder_name<'a>(&self, holder: &'a Holder) -> Option<&'a str> {
        holder.name(self.clients.iter().filter_map(|entry| entry.certificates.as_ref()))
    }

    /// Whether an entry says that a service account comes from this address: then nothing else need vouch for it.
    #[must_use]
    pub fn expects_from(&self, account: &Identity, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let peer = Peer { address, identity: Some(account), holder: None, way: Way::None };
        self.clients.iter().any(|entry| {
            !entry.networks.is_empty()
                && !entry.service_accounts.is_empty()
                && entry.is_from_there(address)
                && entry.knows(&peer)
        })
    }

    /// Whether `peer` may relay mail at all.
    ///
    /// # Errors
    /// The reply that refuses: 530 5.7.0 where it could show who it is and has not (RFC 4954 section 6), 550 5.7.1 otherwise (RFC
    /// 3463 section 3.8, delivery not authorized).
    pub fn check_client(&self, peer: &Peer<'_>) -> Result<(), Reply> {
        if self.fitting(peer).next().is_some() {
            return Ok(());
        }
        let address = peer.address.to_canonical();
        let could_help = peer.way != Way::None
            && peer.identity.is_none()
            && self.clients.iter().any(|entry| entry.is_from_there(address) && entry.asks_for_auth());
        Err(match (could_help, peer.way, peer.identity) {
            (true, Way::StartTlsFirst, _) => Reply::enhanced(530, (7, 0), "Send STARTTLS and AUTH first"),
            (true, ..) => Reply::enhanced(530, (7, 0), "Authentication required"),
            (false, _, Some(identity)) => {
                let text = format!("relaying denied: {identity} from {address} is not listed in clients");
                Reply::enhanced(550, (7, 1), text)
            }
            (false, _, None) => {
                Reply::enhanced(550, (7, 1), format!("relaying denied: {address} is not listed in clients"))
            }
        })
    }

    /// Whether `peer` may relay mail from `sender`, and by which entries.
    ///
    /// Asked at RCPT and not before, so that a refusal shows in the client's log together with the message it is about.
    ///
    /// # Errors
    /// Those of [`Access::check_client`], and 550 5.7.1 for a sender that no entry allows.
    pub fn check(&self, peer: &Peer<'_>, sender: &ReversePath) -> Result<Allowing, Reply> {
        let allowing = self.fitting(peer).filter(|(_, entry)| entry.senders.allow(sender));
        let allowing: Vec<usize> = allowing.map(|(index, _)| index).collect();
        if !allowing.is_empty() {
            return Ok(Allowing(allowing));
        }
        self.check_client(peer)?;
        Err(Reply::enhanced(550, (7, 1), format!("{sender} is not a sender that this client may use")))
    }

    /// Whether there is any client that may relay mail from `sender`.
    #[must_use]
    pub fn allows_from_somebody(&self, sender: &ReversePath) -> bool {
        self.clients.iter().any(|entry| entry.senders.allow(sender))
    }

    /// Whether nothing of the header can change what is allowed.
    #[must_use]
    pub fn is_free(&self, allowing: &Allowing) -> bool {
        self.allowing(allowing).any(|(_, entry)| entry.senders.are_free())
    }

    /// Those of the entries that allow this address in From or Sender; None where none does.
    #[must_use]
    pub fn narrow(&self, allowing: &Allowing, mailbox: &Mailbox) -> Option<Allowing> {
        let allowed = self.allowing(allowing).filter(|(_, entry)| entry.senders.allow_in_header(mailbox));
        let left: Vec<usize> = allowed.map(|(index, _)| index).collect();
        (!left.is_empty()).then_some(Allowing(left))
    }

    fn fitting<'a>(&'a self, peer: &'a Peer<'_>) -> impl Iterator<Item = (usize, &'a Listed)> {
        // A client that comes over IPv4 into an IPv6 socket is known by its IPv4 address.
        let address = peer.address.to_canonical();
        self.clients.iter().enumerate().filter(move |(_, entry)| entry.is_from_there(address) && entry.knows(peer))
    }

    fn allowing<'a>(&'a self, allowing: &'a Allowing) -> impl Iterator<Item = (usize, &'a Listed)> {
        allowing.0.iter().filter_map(|index| Some((*index, self.clients.get(*index)?)))
    }
}

impl Listed {
    fn is_from_there(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }

    fn asks_for_auth(&self) -> bool {
        self.users.is_some() || !self.service_accounts.is_empty()
    }

    /// Whether the client is one that the entry lists, wherever it comes from.
    fn knows(&self, peer: &Peer<'_>) -> bool {
        if !self.asks_for_auth() && self.certificates.is_none() {
            return true;
        }
        let by_auth = match peer.identity {
            Some(Identity::User { secret, .. }) => self.users.as_deref() == Some(&**secret),
            Some(Identity::ServiceAccount { namespace, name }) => {
                self.service_accounts.iter().any(|one| one.holds(namespace, name))
            }
            None => false,
        };
        by_auth
            || self.certificates.as_ref().is_some_and(|asked| peer.holder.is_some_and(|holder| holder.is_one_of(asked)))
    }
}

#[cfg(test)]
mod tests;
