//! Bad input and the exact reply to it, over real sockets, by every way in: each row is sent as one piece (pipelined), and octet
//! group by octet group, waiting for each reply. Texts are sent by DATA and by BDAT.

use std::{fs, thread, time::Duration};

use mailsluice_crds::relay::{Client, Users};
use mailsluice_tests::{
    door::{Door, Way},
    mail,
    manifest::Manifest,
    relay::PATIENCE,
    sink::Sink,
};

use crate::refusals_table::{AUTHENTICATION, COMMANDS, Row, TAKEN, USERS, texts};

#[test]
fn bad_commands_get_the_reply_that_says_what_is_wrong() {
    let sink = Sink::start();
    let mut checked = 0;
    for way in Way::ALL {
        let door = Door::start(way, &Manifest::to(sink.address));
        checked += refuses(&door, COMMANDS);
        assert_eq!(door.relay.monitor().queue.messages, 0);
    }
    assert_eq!(sink.count(), 0);
    println!("{} bad commands, {checked} refusals: line by line and pipelined, by {:?}", COMMANDS.len(), Way::ALL);
}

/// Whether each row's last reply is as it should be, line by line and pipelined; how many were checked.
fn refuses(door: &Door, rows: &[Row]) -> usize {
    let way = door.way;
    for (lines, reply) in rows {
        let mut one_by_one = door.open();
        let last = lines.iter().map(|line| one_by_one.say(line)).last().unwrap_or_default();
        assert!(last.starts_with(*reply), "{lines:?} line by line, {way:?}: {last:?}");
        let mut pipelined = door.open();
        let whole: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        pipelined.send(whole.as_bytes());
        let last = lines.iter().map(|_| pipelined.reply()).last().unwrap_or_default();
        assert!(last.starts_with(*reply), "{lines:?} pipelined, {way:?}: {last:?}");
        if reply.starts_with("521") {
            assert!(pipelined.is_closed(), "{lines:?}, {way:?}: the session goes on");
        } else {
            pipelined.expect("NOOP", "250");
        }
    }
    rows.len() * 2
}

#[test]
fn bad_authentication_gets_the_reply_that_says_what_is_wrong() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    let users = Some(Users { secret_name: "outbound-users".into() });
    manifest.relay.clients = vec![Client { users, ..Client::default() }];
    let mut checked = 0;
    for way in Way::ALL {
        // A relay for some rows: whoever fails too often is not answered any more.
        for rows in AUTHENTICATION.chunks(5) {
            let door = Door::start_with(way, &manifest, |folder| {
                let secret = folder.join("outbound-users");
                fs::create_dir(&secret).expect("make a Secret");
                fs::write(secret.join("users"), USERS).expect("write a Secret");
            });
            checked += refuses(&door, rows);
        }
    }
    assert_eq!(sink.count(), 0);
    println!("{} bad ways to authenticate, {checked} refusals, by {:?}", AUTHENTICATION.len(), Way::ALL);
}

#[test]
fn bad_texts_get_the_same_reply_by_data_and_by_bdat_in_one_piece_and_in_many() {
    let (mut taken, mut refused) = (0, 0);
    for way in Way::ALL {
        let sink = Sink::start();
        let door = Door::start(way, &Manifest::to(sink.address));
        let mut expected_here = 0;
        for (text, expected) in texts() {
            let envelope = b"MAIL FROM:<shop@example.org>\r\nRCPT TO:<a@one.test>\r\n".to_vec();
            let data = [&envelope[..], b"DATA\r\n", &text, b".\r\n"].concat();
            let bdat = [&envelope[..], format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat();
            for (wire, replies) in [(data, 4), (bdat, 3)] {
                for piece in [wire.len(), 17_000.min(wire.len() / 3)] {
                    let mut client = door.open();
                    for part in wire.chunks(piece) {
                        // A server that has refused may have gone already.
                        if client.try_send(part).is_err() {
                            break;
                        }
                        thread::sleep(Duration::from_millis(u64::from(piece < wire.len())));
                    }
                    let last = (0..replies).map(|_| client.reply()).last().unwrap_or_default();
                    let shown = text.get(..40).unwrap_or(&text).escape_ascii();
                    assert!(last.starts_with(expected), "{shown} in pieces of {piece}, {way:?}: {last:?}");
                    expected_here += usize::from(expected == TAKEN);
                    refused += usize::from(expected != TAKEN);
                }
            }
        }
        let arrived = sink.await_messages(expected_here, PATIENCE);
        door.relay.await_empty();
        let originals: Vec<Vec<u8>> =
            texts().into_iter().filter(|(_, reply)| *reply == TAKEN).map(|(text, _)| text).collect();
        for message in &arrived {
            let text = mail::without_trace(&message.octets);
            let known = originals.iter().any(|original| mail::without_trace(original) == text);
            assert!(known, "{way:?}: {}", text.escape_ascii());
        }
        taken += arrived.len();
    }
    let texts = texts().len();
    println!(
        "{texts} texts, {refused} refused and {taken} taken: by DATA and BDAT, whole and in pieces, by {:?}",
        Way::ALL
    );
}
