//! Postfix: the private one of [`crate::postfix`].

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use super::{
    Missing, Peer, Running, installed,
    link::{NAME, PASSWORD, Place, USER},
    needs_root,
};
use crate::{letter::REFUSED_DOMAIN, postfix::Postfix, process};

/// Postfix, from Debian's package.
#[derive(Debug)]
pub struct PostfixPeer;

#[derive(Debug)]
struct Daemon {
    postfix: Postfix,
    _users: TempDir,
}

impl Peer for PostfixPeer {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        needs_root()?;
        installed("/usr/sbin/postfix")?;
        let users = TempDir::new().expect("a temporary folder");
        let (inward, outward, keys) = (place.inward, place.outward, place.keys);
        let clients = if inward.has_login() { "permit_sasl_authenticated" } else { "permit_mynetworks" };
        // Its own default for a message is 10 MB.
        let mut settings = format!(
            "message_size_limit = 52428800\n\
             smtpd_recipient_restrictions = check_recipient_access inline:{{{REFUSED_DOMAIN}=REJECT}}, {clients}, reject\n"
        );
        if inward.is_secure() {
            settings += &format!(
                "smtpd_tls_security_level = encrypt\nsmtpd_tls_chain_files = {}, {}\n",
                keys.key().display(),
                keys.chain().display()
            );
        }
        let mut files = Vec::new();
        if inward.has_login() {
            installed("/usr/sbin/saslpasswd2")?;
            // Where Debian's Postfix looks for it, whatever cyrus_sasl_config_path says.
            files.push(("sasl/smtpd.conf", add_user(users.path())));
            settings += "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_local_domain = postfix.test\n";
        }
        if outward.is_secure() {
            settings += &format!(
                "smtp_tls_security_level = secure\nsmtp_tls_CAfile = {}\nsmtp_tls_secure_cert_match = {NAME}\n",
                keys.authority().display()
            );
        }
        if outward.has_login() {
            settings += &format!(
                "smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n\
                 smtp_sasl_password_maps = inline:{{ {{ [{}]:{} = {USER}:{PASSWORD} }} }}\n",
                place.next_hop.ip(),
                place.next_hop.port()
            );
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Ok(Box::new(Daemon { postfix: Postfix::start_beside(&files, place.next_hop, &settings), _users: users }))
    }
}

/// Writes a database of one user for Cyrus SASL into this folder; gives the configuration for it.
pub(crate) fn add_user(folder: &Path) -> String {
    let database = folder.join("sasldb2");
    let configuration = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: SCRAM-SHA-256 PLAIN LOGIN\nsasldb_path: {}\n",
        database.display()
    );
    let script = format!("printf %s '{PASSWORD}' | /usr/sbin/saslpasswd2 -p -c -f \"$0\" -u postfix.test {USER}");
    process::run(Command::new("sh").args(["-c", &script]).arg(&database));
    for (path, mode) in [(folder, 0o755), (&database, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("let Postfix's user in");
    }
    configuration
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.postfix.address
    }
}
