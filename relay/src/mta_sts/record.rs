//! The TXT record that announces a policy (RFC 8461 section 3.1). Pure.

const VERSION: &str = "v=STSv1";

/// The id of the policy that a domain announces; none where it announces none, or not clearly: with two records nobody knows
/// which is meant.
pub(super) fn announced(texts: &[String]) -> Option<String> {
    let mut records = texts.iter().filter_map(|text| fields(text));
    match (records.next(), records.next()) {
        (Some(fields), None) => id(fields),
        _ => None,
    }
}

/// What follows the version, where it is one of these records.
fn fields(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(VERSION)?.trim_start_matches([' ', '\t']);
    rest.strip_prefix(';')
}

fn id(fields: &str) -> Option<String> {
    let mut id = None;
    for field in fields.split(';').map(|field| field.trim_matches([' ', '\t'])).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=')?;
        if name == "id" {
            id = id.or(Some(value));
        }
    }
    id.filter(|id| (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_record_announces_a_policy() {
        for (texts, id) in [
            (vec!["v=STSv1; id=20160831085700Z;"], Some("20160831085700Z")),
            (vec!["v=STSv1;id=1"], Some("1")),
            (vec!["v=STSv1 ; id=a ; more=than that"], Some("a")),
            (vec!["v=spf1 -all", "v=STSv1; id=1;"], Some("1")),
            (vec!["v=STSv1; id=1; id=2"], Some("1")),
            (vec!["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
            (vec!["v=STSv1; id=1;", "v=STSv1; nothing"], None),
            (vec!["v=STSv1;"], None),
            (vec!["v=STSv1; id="], None),
            (vec!["v=STSv1; id=with-dash"], None),
            (vec!["v=STSv1; id=123456789012345678901234567890123"], None),
            (vec!["v=STSv1; nothing; id=1"], None),
            (vec!["v=STSv10; id=1"], None),
            (vec!["V=STSV1; id=1"], None),
            (vec![" v=STSv1; id=1"], None),
            (vec![], None),
        ] {
            let owned: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(announced(&owned).as_deref(), id, "{texts:?}");
        }
    }
}
