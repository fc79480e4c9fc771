//! A real Postfix that refuses mail in many ways, each at an address of its own, and takes it when it is told to.

use std::{fs, net::SocketAddr, process::Command};

use tempfile::TempDir;

use crate::{peers::postfix::add_user, postfix::Postfix, process, relay::PATIENCE, wait};

/// Where it takes mail of those alone who show a password.
pub const LOGIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 25)), 25);

/// It.
pub struct Refusing {
    postfix: Postfix,
    master: String,
    addresses: Vec<SocketAddr>,
    _users: TempDir,
}

impl Refusing {
    /// Starts it, with these options of smtpd at these addresses; what it takes goes on to `next_hop`.
    #[must_use]
    pub fn start(next_hop: SocketAddr, options: &[(SocketAddr, &str)]) -> Refusing {
        let users = TempDir::new().expect("a temporary folder");
        let files = [("sasl/smtpd.conf", add_user(users.path()))];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        // Without a log: while its logger starts again after a reload, every process of it waits.
        let settings = "mynetworks = 127.0.0.0/8 192.0.2.0/24\nsmtpd_sasl_local_domain = postfix.test\nmaillog_file =\n\
                        smtpd_recipient_restrictions = permit_mynetworks, reject\n";
        let postfix = Postfix::start_beside(&files, next_hop, settings);
        let master = fs::read_to_string(postfix.etc().join("master.cf")).expect("master.cf");
        let addresses = options.iter().map(|(address, _)| *address).collect();
        let refusing = Refusing { postfix, master, addresses, _users: users };
        refusing.listen(options);
        refusing
    }

    /// From here on it takes what comes.
    pub fn mend(&self) {
        let options: Vec<_> = self.addresses.iter().map(|address| (*address, "")).collect();
        self.listen(&options);
    }

    fn listen(&self, options: &[(SocketAddr, &str)]) {
        let mut text = self.master.clone();
        let login = (
            LOGIN,
            "-o smtpd_sasl_auth_enable=yes -o { smtpd_recipient_restrictions = permit_sasl_authenticated, reject }",
        );
        for (address, options) in options.iter().chain([&login]) {
            text += &format!("{address} inet n - n - - smtpd {options}\n");
        }
        fs::write(self.postfix.etc().join("master.cf"), text).expect("write master.cf");
        process::run(Command::new("/usr/sbin/postfix").arg("-c").arg(self.postfix.etc()).arg("reload"));
        for address in options.iter().map(|(address, _)| address).chain([&LOGIN]) {
            wait::until_some(PATIENCE, &format!("Postfix listens on {address}"), || {
                std::net::TcpStream::connect(address).ok()
            });
        }
    }
}
