use super::*;

fn name_of(length: usize) -> String {
    // Labels of 49 octets and a dot, the last one what is left.
    let mut name = String::new();
    while name.len() + 50 < length {
        name.push_str(&"a".repeat(49));
        name.push('.');
    }
    name.push_str(&"b".repeat(length - name.len()));
    name
}

#[test]
fn a_mailbox_follows_the_grammar_of_rfc_5321() {
    let ok = [
        // given, kept
        ("user@example.com", "user@example.com"),
        ("User@Example.COM", "User@example.com"),
        ("user@example.com.", "user@example.com"),
        ("a.b.c@example.com", "a.b.c@example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ("user+tag@sub.example.com", "user+tag@sub.example.com"),
        ("\"a b\"@example.com", "\"a b\"@example.com"),
        ("\"a@b\"@example.com", "\"a@b\"@example.com"),
        ("\"a>b\"@example.com", "\"a>b\"@example.com"),
        ("\"quo\\\"te\\\\\"@example.com", "\"quo\\\"te\\\\\"@example.com"),
        ("\"\"@example.com", "\"\"@example.com"),
        ("\"plain\"@example.com", "\"plain\"@example.com"),
        ("user@localhost", "user@localhost"),
        ("user@_dmarc.my_host.example", "user@_dmarc.my_host.example"),
        ("user@3com.com", "user@3com.com"),
        ("user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
        ("us\u{e9}r@example.com", "us\u{e9}r@example.com"),
        ("\"us \u{e9}r\"@example.com", "\"us \u{e9}r\"@example.com"),
        ("user@B\u{fc}cher.Example", "user@xn--bcher-kva.example"),
        ("\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example", "\u{7528}\u{6237}@xn--fsqu00a.example"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("user@[IPv6:2001:DB8:0::1]", "user@[IPv6:2001:db8::1]"),
        ("user@[ipv6:::1]", "user@[IPv6:::1]"),
    ];
    for (given, kept) in ok {
        match Mailbox::parse(given) {
            Ok(mailbox) => {
                assert_eq!(mailbox.as_str(), kept, "{given}");
                assert_eq!(format!("{}@{}", mailbox.local_part(), mailbox.domain()), kept);
                assert_eq!(Domain::parse(mailbox.domain()), Ok(mailbox.to_domain()));
                assert_eq!(Mailbox::parse(kept).as_ref(), Ok(&mailbox), "{kept} reads back");
            }
            Err(error) => panic!("{given} is refused: {error}"),
        }
    }
    let bad = [
        ("", AddressError::LocalPart),
        ("user", AddressError::NoDomain),
        ("user@", AddressError::NoDomain),
        ("@example.com", AddressError::LocalPart),
        (".user@example.com", AddressError::LocalPart),
        ("user.@example.com", AddressError::LocalPart),
        ("a..b@example.com", AddressError::LocalPart),
        ("a b@example.com", AddressError::LocalPart),
        ("a\tb@example.com", AddressError::LocalPart),
        ("a(b)@example.com", AddressError::LocalPart),
        ("a\"b\"@example.com", AddressError::LocalPart),
        ("\"ab@example.com", AddressError::LocalPart),
        ("\"ab\\\"@example.com", AddressError::LocalPart),
        ("\"a\0b\"@example.com", AddressError::LocalPart),
        ("\"a\r\nb\"@example.com", AddressError::LocalPart),
        ("\"ab\"c@example.com", AddressError::NoDomain),
        ("us\u{85}r@example.com", AddressError::LocalPart),
        ("user@ex\u{2028}mple.com", AddressError::Domain),
        ("user@example..com", AddressError::Domain),
        ("user@.example.com", AddressError::Domain),
        ("user@example.com..", AddressError::Domain),
        ("user@.", AddressError::Domain),
        ("user@-example.com", AddressError::Domain),
        ("user@example-.com", AddressError::Domain),
        ("user@exa mple.com", AddressError::Domain),
        ("user@exa/mple.com", AddressError::Domain),
        ("user@a@b", AddressError::Domain),
        ("user@192.0.2.1", AddressError::Domain),
        ("user@example.123", AddressError::Domain),
        ("user@[192.0.2.256]", AddressError::Literal),
        ("user@[192.0.2]", AddressError::Literal),
        ("user@[192.0.2.1", AddressError::Literal),
        ("user@[2001:db8::1]", AddressError::Literal),
        ("user@[IPv6:2001:db8::1%eth0]", AddressError::Literal),
        ("user@[x25:1234]", AddressError::Literal),
        ("user@[]", AddressError::Literal),
    ];
    for (given, error) in bad {
        assert_eq!(Mailbox::parse(given), Err(error), "{given:?}");
    }
}

#[test]
fn lengths_are_those_of_rfc_5321_section_4_5_3_1() {
    let local = |length: usize| format!("{}@example.com", "l".repeat(length));
    assert!(Mailbox::parse(&local(64)).is_ok());
    assert_eq!(Mailbox::parse(&local(65)), Err(AddressError::LocalPartTooLong));
    assert_eq!(Mailbox::parse(&local(200)), Err(AddressError::LocalPartTooLong));

    assert!(Domain::parse(&name_of(255)).is_ok());
    assert_eq!(Domain::parse(&name_of(256)), Err(AddressError::DomainTooLong));
    assert!(Domain::parse(&format!("{}.com", "a".repeat(63))).is_ok());
    assert_eq!(Domain::parse(&format!("{}.com", "a".repeat(64))), Err(AddressError::Domain));

    // "<u@" and ">" take four octets of the path's 256.
    assert!(Mailbox::parse(&format!("u@{}", name_of(252))).is_ok());
    assert_eq!(Mailbox::parse(&format!("u@{}", name_of(253))), Err(AddressError::TooLong));
}

#[test]
fn domains_are_one_queue_key_however_they_are_written() {
    let key = Domain::parse("Mail.Example.COM.").unwrap();
    assert_eq!(key.as_str(), "mail.example.com");
    assert_eq!(key, Domain::parse("mail.example.com").unwrap());
    let map = std::collections::HashMap::from([(key, 1)]);
    assert_eq!(map.get("mail.example.com"), Some(&1));
    assert_eq!(Domain::parse("[IPv6:2001:DB8::0:1]").unwrap().as_str(), "[IPv6:2001:db8::1]");
    assert_eq!(Domain::parse("[192.0.2.1]").unwrap().literal(), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(Domain::parse("example.com").unwrap().literal(), None);
    assert_eq!(Domain::parse(""), Err(AddressError::Domain));
}

#[test]
fn paths_know_null_postmaster_and_source_routes() {
    assert_eq!("".parse(), Ok(ReversePath::Null));
    assert_eq!(ReversePath::Null.to_string(), "<>");
    let path: ReversePath = "@relay.example,@b.example:User@C.example".parse().unwrap();
    assert_eq!(path.to_string(), "<User@c.example>");
    assert_eq!(path.as_str(), "User@c.example");

    for text in ["postmaster", "Postmaster", "POSTMASTER"] {
        assert_eq!(text.parse(), Ok(ForwardPath::Postmaster), "{text}");
    }
    assert_eq!(ForwardPath::Postmaster.to_string(), "<postmaster>");
    assert_eq!(ForwardPath::Postmaster.domain(), None);
    let path: ForwardPath = "postmaster@Example.com".parse().unwrap();
    assert_eq!(path.domain(), Some("example.com"));

    assert_eq!("".parse::<ForwardPath>(), Err(AddressError::LocalPart));
    assert_eq!("root".parse::<ForwardPath>(), Err(AddressError::NoDomain));
    assert_eq!("postmaster".parse::<ReversePath>(), Err(AddressError::NoDomain));
    for route in ["@a.example", "@a.example,b.example:u@c.example", "@:u@c.example"] {
        assert_eq!(route.parse::<ForwardPath>(), Err(AddressError::SourceRoute), "{route}");
    }
}

#[test]
fn a_path_ends_at_the_bracket_that_is_not_quoted() {
    type Split = Result<(&'static str, &'static [u8]), AddressError>;
    let cases: [(&[u8], Split); 10] = [
        (b"<>", Ok(("", b""))),
        (b"<a@b> SIZE=1", Ok(("a@b", b" SIZE=1"))),
        (b"<\"a>b\"@c>x", Ok(("\"a>b\"@c", b"x"))),
        (b"<\"a\\\">b\"@c>", Ok(("\"a\\\">b\"@c", b""))),
        (b"<a\\>b", Ok(("a\\", b"b"))),
        (b"a@b", Err(AddressError::Brackets)),
        (b"<a@b", Err(AddressError::Brackets)),
        (b"<\"a@b>", Err(AddressError::Brackets)),
        (b"", Err(AddressError::Brackets)),
        (b"<\xff@b>", Err(AddressError::NotAscii)),
    ];
    for (given, expected) in cases {
        assert_eq!(split_path(given), expected, "{}", given.escape_ascii());
    }
    let long = format!("<{}>", "x".repeat(255));
    assert_eq!(split_path(long.as_bytes()), Err(AddressError::TooLong));
}

#[test]
fn an_address_whose_a_labels_are_too_long_is_refused_rather_than_kept_and_never_read_again() {
    let (mut taken, mut refused) = (0, 0);
    for length in 30..60 {
        // In octets of UTF-8 each of them is short enough.
        let text = format!("a@\u{fc}{0}.\u{fc}{0}.\u{fc}{0}.\u{fc}{0}", "x".repeat(length));
        match Mailbox::parse(&text) {
            Ok(mailbox) => {
                taken += 1;
                assert_eq!(Mailbox::parse(mailbox.as_str()).as_ref(), Ok(&mailbox), "{length}");
            }
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(error, AddressError::TooLong | AddressError::DomainTooLong | AddressError::Domain),
                    "{error}"
                );
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}

proptest::proptest! {
    #[test]
    fn whatever_is_accepted_reads_back_the_same(text in "[\"a.@\\[\\]:<>\\\\ A1_-]{0,24}") {
        if let Ok(mailbox) = Mailbox::parse(&text) {
            proptest::prop_assert_eq!(Mailbox::parse(mailbox.as_str()), Ok(mailbox.clone()));
            let path = format!("{} ", ReversePath::Mailbox(mailbox.clone()));
            proptest::prop_assert_eq!(split_path(path.as_bytes()), Ok((mailbox.as_str(), &b" "[..])));
        }
    }
}
