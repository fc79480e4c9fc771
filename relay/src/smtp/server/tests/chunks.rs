//! BDAT: framed by counts, and with the same care as DATA.

use super::*;

const START: &str = "EHLO c.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n";

/// One row: what the client says after RCPT, the codes of the replies, and the texts of the messages that were taken.
type Row = (&'static str, &'static [u16], &'static [&'static str]);

const ROWS: [Row; 22] = [
    ("BDAT 4 LAST\r\nHi\r\nNOOP\r\n", &[250, 250], &["Hi\r\n"]),
    ("BDAT 2\r\nHiBDAT 2 LAST\r\n\r\nNOOP\r\n", &[250, 250, 250], &["Hi\r\n"]),
    ("BDAT 3\r\nHi\rBDAT 1\r\n\nBDAT 0 LAST\r\nNOOP\r\n", &[250, 250, 250, 250], &["Hi\r\n"]),
    ("BDAT 0 LAST\r\nNOOP\r\n", &[250, 250], &[""]),
    // A last line without an end is given one.
    ("BDAT 2 LAST\r\nHiNOOP\r\n", &[250, 250], &["Hi\r\n"]),
    // Dots mean nothing.
    ("BDAT 10 LAST\r\n.\r\n..x\r\nQ\nNOOP\r\n", &[521], &[]),
    ("BDAT 9 LAST\r\n.\r\n..x\r\n\nNOOP\r\n", &[521], &[]),
    ("BDAT 8 LAST\r\n.\r\n..x\r\nNOOP\r\n", &[250, 250], &[".\r\n..x\r\n"]),
    // Commands within a chunk are text.
    ("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &[250, 250], &["QUIT\r\n"]),
    // Bare newlines, also across chunks, and at the end.
    ("BDAT 3 LAST\r\na\nbNOOP\r\n", &[521], &[]),
    ("BDAT 3 LAST\r\na\rbNOOP\r\n", &[521], &[]),
    ("BDAT 2\r\na\rBDAT 1 LAST\r\nbNOOP\r\n", &[250, 521], &[]),
    ("BDAT 2 LAST\r\na\rNOOP\r\n", &[521], &[]),
    ("BDAT 3\r\na\nbBDAT 1 LAST\r\nb", &[521], &[]),
    // What is refused is passed over, and never taken for commands.
    ("RSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &[250, 503, 250], &[]),
    ("RSET\r\nMAIL FROM:<a@a.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n", &[250, 250, 554, 503], &[]),
    (
        "RSET\r\nMAIL FROM:<full@a.example>\r\nRCPT TO:<b@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
        &[250, 250, 250, 452, 250],
        &[],
    ),
    // A count that cannot be read leaves nothing to go on with.
    ("BDAT 6x LAST\r\nQUIT\r\nNOOP\r\n", &[521], &[]),
    // Nothing of a transaction between chunks.
    (
        "BDAT 1\r\naDATA\r\nMAIL FROM:<>\r\nRCPT TO:<c@b.example>\r\nBDAT 0 LAST\r\n",
        &[250, 503, 503, 503, 250],
        &["a\r\n"],
    ),
    ("BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nbNOOP\r\n", &[250, 250, 503, 250], &[]),
    ("BDAT 1\r\naEHLO c\r\nNOOP\r\n", &[250, 250, 250], &[]),
    ("BDAT 1\r\naQUIT\r\n", &[250, 221], &[]),
];

#[test]
fn chunks_are_framed_by_their_counts_wherever_the_network_cuts_them() {
    for (client, codes, texts) in ROWS {
        let client = format!("{START}{client}");
        let whole = talk(&client);
        let shown = client.escape_debug();
        assert_eq!(&whole.codes()[4..], codes, "{shown}\n{}", whole.output);
        let taken: Vec<&[u8]> = whole.messages.iter().map(|(_, text)| text.as_slice()).collect();
        assert_eq!(taken, texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{shown}");
        for cut in 0..=client.len() {
            let (a, b) = client.as_bytes().split_at(cut);
            assert_eq!(drive(config(), &[a, b]), whole, "{shown} cut at {cut}");
        }
        let octets: Vec<&[u8]> = client.as_bytes().chunks(1).collect();
        assert_eq!(drive(config(), &octets), whole, "{shown} octet by octet");
    }
}

#[test]
fn binary_text_passes_where_mail_says_so_and_is_told_from_lines() {
    for (text, body) in [
        (&b"a\nb"[..], BodyType::BinaryMime),
        (b"\0\xff\r", BodyType::BinaryMime),
        (b"no end", BodyType::BinaryMime),
        (b"lines\r\n", BodyType::SevenBit),
        (b"lin\xe9s\r\n", BodyType::EightBitMime),
    ] {
        let head = "EHLO c\r\nMAIL FROM:<a@a.example> BODY=BINARYMIME\r\nRCPT TO:<b@b.example>\r\nDATA\r\n";
        let client = [format!("{head}BDAT {} LAST\r\n", text.len()).as_bytes(), text].concat();
        let seen = drive(config(), &[&client]);
        assert_eq!(seen.codes(), [220, 250, 250, 250, 503, 250], "{}", seen.output);
        assert_eq!((seen.messages[0].0.body, seen.messages[0].1.as_slice()), (body, text));
        assert_eq!(seen.messages[0].0.size, Some(text.len() as u64));
    }
}

#[test]
fn chunks_over_the_limit_are_refused_and_the_session_goes_on() {
    let seen = talk(&format!("{START}BDAT 600\r\n{0}BDAT 600\r\n{0}BDAT 600 LAST\r\n{0}NOOP\r\n", "x".repeat(600)));
    assert_eq!(seen.codes(), [220, 250, 250, 250, 250, 552, 503, 250]);
    assert_eq!((seen.messages.len(), seen.refused_messages), (0, 1));
}

#[test]
fn a_message_that_is_given_up_between_chunks_is_dropped() {
    for end in ["RSET", "EHLO c", "HELO c"] {
        let seen = talk(&format!("{START}BDAT 1\r\na{end}\r\nNOOP\r\n"));
        assert_eq!((seen.dropped_messages, seen.messages.len()), (1, 0), "{end}");
    }
}

#[test]
fn a_message_that_runs_in_a_circle_is_refused() {
    let hop = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n";
    let config = Config { max_hops: 3, ..config() };
    for (hops, code) in [(3, 250), (4, 554)] {
        let text = format!("{}\r\nReceived: not a header\r\n", hop.repeat(hops));
        let by_data = drive(config.clone(), &[format!("{START}DATA\r\n{text}.\r\n").as_bytes()]);
        let by_bdat = drive(config.clone(), &[format!("{START}BDAT {} LAST\r\n{text}", text.len()).as_bytes()]);
        assert_eq!(by_data.codes()[4..], [354, code]);
        assert_eq!(by_bdat.codes()[4..], [code], "{}", by_bdat.output);
        assert_eq!(by_bdat.output.contains("554 5.4.6 "), code == 554);
    }
}
