use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
};

use super::*;

/// An authority, a host's certificate under it, and one that has run out.
struct World {
    authority: CertificateDer<'static>,
    other_authority: CertificateDer<'static>,
    host: CertificateDer<'static>,
    expired: CertificateDer<'static>,
    key: Vec<u8>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn world() -> World {
    let (issuer, other) = (authority("one"), authority("other"));
    let key = KeyPair::generate().unwrap();
    let params = || CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
    let mut past = params();
    past.not_after = date_time_ymd(2020, 1, 1);
    past.not_before = date_time_ymd(2019, 1, 1);
    World {
        authority: issuer.der().clone(),
        other_authority: other.der().clone(),
        host: params().signed_by(&key, &issuer).unwrap().der().clone(),
        expired: past.signed_by(&key, &issuer).unwrap().der().clone(),
        key: key.serialize_der(),
    }
}

fn selected(certificate: &CertificateDer<'_>, selector: u8) -> Vec<u8> {
    match selector {
        0 => certificate.to_vec(),
        _ => ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info().as_ref().to_vec(),
    }
}

fn data(certificate: &CertificateDer<'_>, selector: u8, matching: u8) -> Vec<u8> {
    let octets = selected(certificate, selector);
    match matching {
        0 => octets,
        1 => Sha256::digest(octets).to_vec(),
        _ => Sha512::digest(octets).to_vec(),
    }
}

fn set(base: &str, records: &[(u8, u8, u8, Vec<u8>)]) -> TlsaSet {
    let raw = |(usage, selector, matching, data): &(u8, u8, u8, Vec<u8>)| (*usage, *selector, *matching, data.clone());
    let records: Vec<_> = records.iter().map(raw).collect();
    TlsaSet::new(
        base,
        records.iter().map(|(usage, selector, matching, data)| RawTlsa {
            usage: *usage,
            selector: *selector,
            matching: *matching,
            data,
        }),
    )
}

fn check(set: &TlsaSet, own: &CertificateDer<'_>, others: &[&CertificateDer<'static>], names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| ServerName::try_from((*name).to_owned()).unwrap()).collect();
    let others: Vec<_> = others.iter().map(|other| (*other).clone()).collect();
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    match set.check(own, &others, &names, UnixTime::now(), algorithms) {
        Ok(()) => "good".to_owned(),
        Err(Mismatch::NoRecord) => "no record".to_owned(),
        Err(Mismatch::Invalid(error)) => format!("{error:?}"),
    }
}

#[test]
fn every_usable_kind_of_record_knows_its_certificate_and_no_other() {
    let world = world();
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            let kind = format!("{selector} {matching}");
            let end = set("mx.example.org", &[(3, selector, matching, data(&world.host, selector, matching))]);
            assert_eq!(check(&end, &world.host, &[], &[]), "good", "3 {kind}: names do not matter");
            let other = check(&end, &world.other_authority, &[], &[]);
            assert!(other == "no record", "3 {kind}: {other}");

            let above = set("mx.example.org", &[(2, selector, matching, data(&world.authority, selector, matching))]);
            let names = ["mx.example.org"];
            assert_eq!(check(&above, &world.host, &[&world.authority], &names), "good", "2 {kind}");
            let absent = check(&above, &world.host, &[], &names);
            assert!(absent == "no record", "2 {kind}: {absent}");
            let wrong = check(&above, &world.host, &[&world.other_authority], &names);
            assert!(wrong == "no record", "2 {kind}: {wrong}");
        }
    }
}

#[test]
fn an_authority_vouches_for_names_and_dates_and_an_own_certificate_needs_neither() {
    let world = world();
    let above = set("mx.example.org", &[(2, 0, 1, data(&world.authority, 0, 1))]);
    let end = set("mx.example.org", &[(3, 1, 1, data(&world.expired, 1, 1))]);
    let both = [&world.authority];
    for (set, own, names, says) in [
        (&above, &world.host, vec!["mx.example.org"], "good"),
        (&above, &world.host, vec!["mx.example.org", "example.org"], "good"),
        // The next hop's own name will do.
        (&above, &world.host, vec!["other.example.org", "mx.example.org"], "good"),
        (&above, &world.host, vec!["other.example.org"], "NotValidForName"),
        (&above, &world.host, vec![], "NotValidForName"),
        (&above, &world.expired, vec!["mx.example.org"], "Expired"),
        (&end, &world.expired, vec![], "good"),
    ] {
        let found = check(set, own, &both, &names);
        assert!(found.contains(says), "{names:?}: {found}");
    }
    // Named as an authority, and not signed by it.
    let stranger = set("mx.example.org", &[(2, 0, 1, data(&world.other_authority, 0, 1))]);
    let found = check(&stranger, &world.host, &[&world.authority, &world.other_authority], &["mx.example.org"]);
    assert!(found.contains("UnknownIssuer"), "{found}");
    // The host's own certificate is not an authority, though a record calls it one.
    let own = set("mx.example.org", &[(2, 0, 1, data(&world.host, 0, 1))]);
    assert_eq!(check(&own, &world.host, &[&world.authority], &["mx.example.org"]), "no record");
}

#[test]
fn what_mail_cannot_use_is_left_out() {
    let sha256 = vec![1; 32];
    for (usage, selector, matching, octets, usable) in [
        (3, 1, 1, sha256.clone(), true),
        (2, 0, 2, vec![1; 64], true),
        (3, 0, 0, vec![1; 300], true),
        (0, 1, 1, sha256.clone(), false),
        (1, 1, 1, sha256.clone(), false),
        (4, 1, 1, sha256.clone(), false),
        (255, 1, 1, sha256.clone(), false),
        (3, 2, 1, sha256.clone(), false),
        (3, 1, 3, sha256.clone(), false),
        (3, 1, 1, vec![1; 31], false),
        (3, 1, 2, sha256.clone(), false),
        (3, 1, 0, vec![], false),
    ] {
        let set = set("mx.example.org", &[(usage, selector, matching, octets)]);
        assert_eq!(set.is_usable(), usable, "{usage} {selector} {matching}");
        assert_eq!(set.texts().len(), 1, "a report shows it all the same");
    }
    assert_eq!(set("a", &[(3, 1, 1, vec![0xab; 32])]).texts(), [format!("3 1 1 {}", "AB".repeat(32))]);
}

#[test]
fn of_two_digests_the_stronger_decides() {
    let world = world();
    let wrong = vec![7; 64];
    let records = [(3, 1, 1, data(&world.host, 1, 1)), (3, 1, 2, wrong.clone())];
    assert_ne!(check(&set("mx.example.org", &records), &world.host, &[], &[]), "good");
    // Of another selector it says nothing.
    let records = [(3, 1, 1, data(&world.host, 1, 1)), (3, 0, 2, wrong)];
    assert_eq!(check(&set("mx.example.org", &records), &world.host, &[], &[]), "good");
}

/// A handshake over loopback: what the client says of it.
fn handshake(world: &World, records: TlsaSet) -> io::Result<()> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(world.key.clone()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![world.host.clone(), world.authority.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(server)).unwrap(), stream);
        let _ = stream.read(&mut [0; 1]);
    });
    let name = ServerName::try_from(records.base().to_owned()).unwrap();
    let verifier = Arc::new(Verifier::new(Arc::new(records), "example.org", &provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
    let result = stream.write_all(b"x").and_then(|()| stream.flush());
    drop(stream);
    theirs.join().unwrap();
    result
}

#[test]
fn a_handshake_goes_through_for_the_named_certificate_alone() {
    let world = world();
    handshake(&world, set("mx.example.org", &[(3, 1, 1, data(&world.host, 1, 1))])).unwrap();
    handshake(&world, set("mx.example.org", &[(2, 1, 1, data(&world.authority, 1, 1))])).unwrap();
    let error = handshake(&world, set("mx.example.org", &[(3, 1, 1, vec![9; 32])])).unwrap_err();
    let fault = crate::tls::TlsFault::from(error);
    assert_eq!(fault.code().name(), "DANE_MISMATCH");
    let says = "none of the TLSA records of mx.example.org names the host's certificate; it is for mx.example.org";
    assert!(fault.to_string().starts_with(says), "{fault}");
}
