//! How the relay and a peer speak with each other, and the keys and names that they know each other by.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::certificate::Certificate;

/// How two servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// In clear.
    Clear,
    /// Under STARTTLS, without which the server takes no mail; the client verifies the server's certificate where it can.
    StartTls,
    /// So too, and the server takes mail from [`USER`] alone.
    Auth,
}

/// Who may send over [`Link::Auth`].
pub const USER: &str = "shop";

/// What [`USER`] proves that with.
pub const PASSWORD: &str = "Zebra-42.stripes";

/// [`PASSWORD`] as crypt(3) hashes it with SHA-512.
pub const CRYPT: &str =
    "$6$mailsluice$u4BkcT64VnSLrjdRFVzc7wZjhGOQJ15kSZcSJ78A2LoF8wXUsjbU4igZxvElrVKVqLA4BKQDhmpFhc0.kTZgN.";

/// [`PASSWORD`] as bcrypt hashes it.
pub const BCRYPT: &str = "$2a$04$Jw./7Fs7agPAMpHoFQJ26Ov1Bf9wMhQtft1nj4IOJ7hAibmZmBMUG";

/// A name of the server's certificate, besides its address.
pub const NAME: &str = "localhost";

impl Link {
    /// Whether it is under TLS.
    #[must_use]
    pub fn is_secure(self) -> bool {
        self != Link::Clear
    }

    /// Whether the client authenticates itself.
    #[must_use]
    pub fn has_login(self) -> bool {
        self == Link::Auth
    }

    /// The word of a Received field for it (RFC 3848).
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Link::Clear => "ESMTP",
            Link::StartTls => "ESMTPS",
            Link::Auth => "ESMTPSA",
        }
    }
}

/// Where a peer stands: what is before it, and what behind.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Where it sends to.
    pub next_hop: SocketAddr,
    /// How it is spoken with.
    pub inward: Link,
    /// How it speaks with its next hop.
    pub outward: Link,
    /// The keys for both.
    pub keys: &'a Keys,
}

/// A server's certificate for 127.0.0.1 and [`NAME`], its key, and the certificate of the authority that vouches for it.
#[derive(Debug)]
pub struct Keys {
    folder: TempDir,
    server: Certificate,
}

impl Keys {
    /// New ones, of a new authority.
    #[must_use]
    pub fn new() -> Keys {
        let key = || KeyPair::generate().expect("make a key");
        let mut params = CertificateParams::new(Vec::new()).expect("an authority's parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("make an authority");
        let names = [NAME.to_owned(), IpAddr::from(Ipv4Addr::LOCALHOST).to_string()];
        let mut params = CertificateParams::new(names).expect("a server's parameters");
        // The authority's has the default one.
        params.distinguished_name.push(rcgen::DnType::CommonName, NAME);
        let own = key();
        let leaf = params.signed_by(&own, &authority).expect("make a certificate");
        let server = Certificate { chain: leaf.pem(), key: own.serialize_pem() };
        let keys = Keys { folder: TempDir::new().expect("a temporary folder"), server };
        for (name, text) in
            [("ca.crt", &authority.pem()), ("tls.crt", &keys.server.chain), ("tls.key", &keys.server.key)]
        {
            fs::write(keys.file(name), text).expect("write a key");
        }
        keys
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// What it holds.
    #[must_use]
    pub fn authority_text(&self) -> String {
        Keys::text(&self.authority())
    }

    /// The file with the server's certificate.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.file("tls.crt")
    }

    /// The file with its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.file("tls.key")
    }

    /// The server's certificate and its key.
    #[must_use]
    pub fn server(&self) -> &Certificate {
        &self.server
    }

    /// A text of it, for a server that cannot reach its folder.
    #[must_use]
    pub fn text(file: &Path) -> String {
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::new()
    }
}
