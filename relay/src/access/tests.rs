//! Who may relay, as tables.

use mailsluice_crds::relay::{ClientCertificates, ServiceAccount, Users};

use super::*;

fn client(networks: &[&str], senders: &[&str]) -> Client {
    Client {
        networks: networks.iter().map(|text| (*text).to_owned()).collect(),
        senders: senders.iter().map(|text| (*text).to_owned()).collect(),
        ..Client::default()
    }
}

fn from(address: &str) -> Peer<'static> {
    Peer { address: address.parse().unwrap(), identity: None, holder: None, way: Way::None }
}

fn user(secret: &str, name: &str) -> Identity {
    Identity::User { secret: secret.into(), name: name.into() }
}

#[test]
fn only_listed_networks_relay_and_only_with_their_senders() {
    let access = Access::new(&[
        client(&["192.0.2.0/24", "2001:db8::/32"], &[]),
        client(&["198.51.100.7/32"], &["@shop.test", "root@ops.test"]),
        client(&["198.51.100.0/24"], &["@wide.test"]),
        client(&["198.51.100.9/32"], &["<>"]),
    ])
    .unwrap();
    for (address, sender, allowed) in [
        ("192.0.2.9", "anyone@any.test", true),
        ("::ffff:192.0.2.9", "anyone@any.test", true),
        ("2001:db8::1", "", true),
        ("198.51.100.7", "a@shop.test", true),
        ("198.51.100.7", "A@SHOP.test", true),
        ("198.51.100.7", "Root@ops.test", true),
        ("198.51.100.7", "other@ops.test", false),
        ("198.51.100.7", "x@wide.test", true),
        ("198.51.100.8", "a@shop.test", false),
        ("198.51.100.7", "", false),
        ("198.51.100.8", "", false),
        ("198.51.100.9", "", true),
        ("198.51.100.9", "a@shop.test", false),
        ("203.0.113.1", "a@shop.test", false),
        ("203.0.113.1", "", false),
    ] {
        let result = access.check(&from(address), &sender.parse().unwrap());
        assert_eq!(result.is_ok(), allowed, "{sender:?} from {address}: {result:?}");
        if let Err(reply) = result {
            assert!(reply.to_string().starts_with("550 5.7.1 "), "{reply}");
        }
    }
}

#[test]
fn a_client_is_known_by_its_network_and_by_one_of_what_it_can_show() {
    let users = |secret: &str| Some(Users { secret_name: secret.into() });
    let account = ServiceAccount { namespace: "shop".into(), name: "checkout".into() };
    let named = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Some(ClientCertificates { secret_name: "authority".into(), names })
    };
    let access = Access::new(&[
        Client { users: users("inside"), ..client(&["10.0.0.0/8"], &[]) },
        Client { users: users("outside"), ..client(&[], &["@out.test"]) },
        Client { service_accounts: vec![account], certificates: named(&["app.test"]), ..client(&[], &["@app.test"]) },
        client(&["10.9.0.0/16"], &["@net.test"]),
    ])
    .unwrap();
    let holder = Holder::new(["authority"], ["app.test"]);
    let stranger = Holder::new(["other"], ["app.test"]);
    let misnamed = Holder::new(["authority"], ["other.test"]);
    let checkout = Identity::ServiceAccount { namespace: "shop".into(), name: "checkout".into() };
    let other = Identity::ServiceAccount { namespace: "shop".into(), name: "other".into() };
    let (inside, outside) = (user("inside", "a"), user("outside", "a"));
    for (address, identity, holder, way, sender, reply) in [
        ("10.1.1.1", Some(&inside), None, Way::None, "a@any.test", "taken"),
        ("192.0.2.1", Some(&inside), None, Way::None, "a@any.test", "550"),
        ("192.0.2.1", Some(&outside), None, Way::None, "a@out.test", "taken"),
        ("192.0.2.1", Some(&outside), None, Way::None, "a@any.test", "550"),
        ("192.0.2.1", Some(&checkout), None, Way::None, "a@app.test", "taken"),
        ("192.0.2.1", Some(&other), None, Way::None, "a@app.test", "550"),
        ("192.0.2.1", None, Some(&holder), Way::Auth, "a@app.test", "taken"),
        ("192.0.2.1", None, Some(&stranger), Way::Auth, "a@app.test", "530"),
        ("192.0.2.1", None, Some(&misnamed), Way::Auth, "a@app.test", "530"),
        ("10.9.1.1", None, None, Way::Auth, "a@net.test", "taken"),
        ("10.9.1.1", None, None, Way::Auth, "a@out.test", "550"),
        ("192.0.2.1", None, None, Way::Auth, "a@net.test", "530"),
        ("192.0.2.1", None, None, Way::StartTlsFirst, "a@net.test", "530"),
        ("192.0.2.1", None, None, Way::None, "a@net.test", "550"),
    ] {
        let peer = Peer { address: address.parse().unwrap(), identity, holder, way };
        let result = access.check(&peer, &sender.parse().unwrap());
        let said = result.map_or_else(|reply| reply.code().to_string(), |_| "taken".into());
        assert_eq!(said, reply, "{sender} by {peer:?}");
    }
}

#[test]
fn one_entry_has_to_allow_all_of_a_message() {
    let access = Access::new(&[
        client(&["10.0.0.0/8"], &["@a.test", "<>"]),
        client(&["10.0.0.0/8"], &["b@b.test", "@a.test"]),
        client(&["10.0.0.0/8"], &["@c.test"]),
        client(&["10.0.0.1/32"], &["<>"]),
        client(&["10.0.0.2/32"], &[]),
    ])
    .unwrap();
    for (address, sender, header, allowed) in [
        ("10.0.0.9", "x@a.test", &["y@A.test"][..], true),
        ("10.0.0.9", "x@a.test", &["y@a.test", "B@b.test"], true),
        ("10.0.0.9", "x@a.test", &["c@b.test"], false),
        ("10.0.0.9", "x@a.test", &["y@c.test"], false),
        ("10.0.0.9", "x@a.test", &["y@sub.a.test"], false),
        ("10.0.0.9", "", &["mailer-daemon@a.test"], true),
        ("10.0.0.9", "", &["boss@bank.test"], false),
        ("10.0.0.1", "", &["boss@bank.test"], true),
        ("10.0.0.1", "x@a.test", &["boss@bank.test"], false),
        ("10.0.0.2", "x@a.test", &["boss@bank.test"], true),
        ("10.0.0.9", "x@a.test", &[], true),
    ] {
        let allowing = access.check(&from(address), &sender.parse().unwrap()).unwrap();
        let left = header.iter().try_fold(allowing, |left, name| {
            if access.is_free(&left) { Some(left) } else { access.narrow(&left, &name.parse().unwrap()) }
        });
        assert_eq!(left.is_some(), allowed, "{sender:?} with {header:?} from {address}");
    }
}
