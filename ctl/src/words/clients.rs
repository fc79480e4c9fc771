//! Clients of which something was refused lately, as a table below what `status` and `monitor` show.

use jiff::Timestamp;
use mailsluice_crds::monitor::{ClientRow, client::refused_lately};

use crate::table::{Table, age};

/// Rows of each relay that are shown.
const SHOWN: usize = 10;

/// A line for each such client of each relay, below a heading; nothing where there is none.
pub(super) fn table<'a>(
    relays: impl Iterator<Item = (&'a Option<String>, Timestamp, &'a [ClientRow])> + Clone,
) -> String {
    let pods = relays.clone().any(|(pod, ..)| pod.is_some());
    let columns = ["CLIENT", "KIND", ">TAKEN", ">REFUSED", "LAST", "ADDRESS", "SENDER", "REFUSAL"];
    let mut table = if pods { Table::new(&[&["POD"], columns.as_slice()].concat()) } else { Table::new(&columns) };
    let mut left_out = 0;
    for (pod, now, rows) in relays {
        for (row, refusal) in refused_lately(rows, now).take(SHOWN) {
            let cells = [
                row.client.clone(),
                format!("{:?}{}", row.kind, if row.listed { "" } else { ", not listed" }),
                row.accepted.to_string(),
                row.refused.to_string(),
                age(refusal.at, now),
                refusal.address.clone(),
                refusal.sender.clone().unwrap_or_else(|| "-".to_owned()),
                refusal.to_string(),
            ];
            table.row(pods.then(|| pod.clone().unwrap_or_default()).into_iter().chain(cells));
        }
        left_out += refused_lately(rows, now).count().saturating_sub(SHOWN);
    }
    let table = table.text();
    if table.is_empty() {
        return table;
    }
    let more = if left_out == 0 { String::new() } else { format!("and {left_out} more: `monitor -o json` has all\n") };
    format!("\nClients refused in the last day\n{table}{more}")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    #[test]
    fn clients_that_were_refused_today_are_shown_with_what_and_why() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let row = |client: &str, ago: i64| -> ClientRow {
            serde_json::from_value(json!({
                "client": client, "kind": "Address", "listed": false, "accepted": 0, "refused": 7, "lastSeen": now,
                "lastRefusal": {
                    "at": now - SignedDuration::from_secs(ago), "code": "535 5.7.8", "stage": "Auth",
                    "text": "Authentication failed", "why": "the token is not good: \u{1b}", "address": "192.0.2.9",
                },
            }))
            .unwrap()
        };
        let well: ClientRow = serde_json::from_value(json!({
            "client": "shop", "kind": "User", "listed": true, "accepted": 9, "refused": 0, "lastSeen": now,
        }))
        .unwrap();
        let rows = [row("192.0.2.9", 65), well.clone(), row("192.0.2.8", 90_000)];
        let nobody = None;
        assert_eq!(
            table([(&nobody, now, rows.as_slice())].into_iter()),
            "\nClients refused in the last day\n\
             CLIENT     KIND                 TAKEN  REFUSED  LAST  ADDRESS    SENDER  REFUSAL\n\
             192.0.2.9  Address, not listed      0        7  1m    192.0.2.9  -       535 5.7.8 at Auth: Authentication failed (the \
             token is not good: \\u{1b})\n"
        );
        assert_eq!(table([(&nobody, now, [well].as_slice())].into_iter()), "");
        let pod = Some("out-0".to_owned());
        let many: Vec<_> = (0..12).map(|n| row(&format!("192.0.2.{n}"), n)).collect();
        let text = table([(&pod, now, many.as_slice())].into_iter());
        assert!(
            text.contains("\nPOD    CLIENT") && text.ends_with("and 2 more: `monitor -o json` has all\n"),
            "{text}"
        );
    }
}
