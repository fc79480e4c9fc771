//! The rotation of the key that the cluster's API server signs tokens of service accounts with.

use std::{path::PathBuf, process::Command};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    cluster::{self, Namespace, restart, restart_api_server_with},
    process,
};

/// The options of the API server.
const KEY: &str = "--service-account-key-file=";
const SIGNING: &str = "--service-account-signing-key-file=";

/// A rotation, from the key that the cluster was made with to a new one. When it is dropped, that one signs again, and both are good.
#[derive(Debug)]
pub struct Rotation {
    namespace: String,
    account: String,
    old: String,
    new: String,
    name: String,
}

impl Rotation {
    /// Makes a new key, and no use of it yet. Tokens of the account are looked at.
    #[must_use]
    pub fn begin(namespace: &Namespace, account: &str) -> Rotation {
        let name = format!("sa-{}", jiff::Timestamp::now().as_millisecond());
        let (key, public) = (file(&format!("{name}.key")), file(&format!("{name}.pub")));
        let _ = process::run(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"));
        let _ =
            process::run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public));
        let mut rotation = Rotation {
            namespace: namespace.name().to_owned(),
            account: account.to_owned(),
            old: String::new(),
            new: String::new(),
            name,
        };
        rotation.old = rotation.signing_key();
        rotation.new = key_id(&public);
        rotation
    }

    /// The old key's id.
    #[must_use]
    pub fn old(&self) -> &str {
        &self.old
    }

    /// The new key's id.
    #[must_use]
    pub fn new_one(&self) -> &str {
        &self.new
    }

    /// The API server takes tokens of the new key too, and publishes it.
    pub fn publish(&self) {
        restart_api_server_with(|arguments| arguments.push(format!("{KEY}{}", self.public())));
    }

    /// The API server signs with the new key; and the controllers have tokens that are.
    pub fn sign(&self) {
        restart_api_server_with(|arguments| sign_with(arguments, &self.private()));
        restart("controller-manager");
        assert_eq!(self.signing_key(), self.new, "tokens are signed with the new key");
    }

    /// The API server takes tokens of the new key alone.
    pub fn withdraw(&self) {
        let public = format!("{KEY}{}", self.public());
        restart_api_server_with(|arguments| arguments.retain(|one| !one.starts_with(KEY) || *one == public));
    }

    fn public(&self) -> String {
        path(&format!("{}.pub", self.name))
    }

    fn private(&self) -> String {
        path(&format!("{}.key", self.name))
    }

    /// The id of the key that a token is signed with now.
    fn signing_key(&self) -> String {
        let token = cluster::kubectl(&["-n", &self.namespace, "create", "token", &self.account]);
        let header = token.split('.').next().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
        let header: Value = serde_json::from_slice(&header.expect("a token's header")).expect("a header in JSON");
        header["kid"].as_str().expect("a key's id").to_owned()
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        // Tokens of either are about.
        let keys = [path("sa.pub"), self.public()].map(|public| format!("{KEY}{public}"));
        restart_api_server_with(|arguments| {
            arguments.retain(|one| !one.starts_with(KEY));
            arguments.extend(keys.iter().cloned());
            sign_with(arguments, &path("sa.key"));
        });
    }
}

fn sign_with(arguments: &mut [String], key: &str) {
    for argument in arguments.iter_mut().filter(|argument| argument.starts_with(SIGNING)) {
        *argument = format!("{SIGNING}{key}");
    }
}

fn file(name: &str) -> PathBuf {
    cluster::run().join("pki").join(name)
}

fn path(name: &str) -> String {
    file(name).to_str().expect("a path in UTF-8").to_owned()
}

/// The id that the API server gives a key: the SHA-256 of its public half in DER.
fn key_id(public: &PathBuf) -> String {
    let text = std::fs::read_to_string(public).expect("a public key");
    let der: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::prelude::BASE64_STANDARD.decode(der).expect("base64");
    BASE64_URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(der))
}
