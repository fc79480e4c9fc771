//! What answers of the DNS are worth when DNSSEC is asked for. Pure.
//!
//! hickory proves each record by itself (Secure, Insecure, Bogus), and refuses answers with a bogus one. What it leaves to
//! whoever asks, and an attacker on the way to the DNS server could use:
//! - Records that do not belong to the question come back with the answer. An insecure one among them must not make the answer
//!   insecure: only the chain from the name that was asked for counts.
//! - An answer that there is no such record is taken for insecure, and without any proof, where all records in its authority section are
//!   insecure, whoever's they are: a SOA of some other, unsigned zone is enough. So one of them must be of a zone above the
//!   name. With nothing in that section there is nothing to see it by, and the answer is no proof.
//! - In the same case it does not look for the proof that a wildcard was expanded rightly. A secure answer beside a wholly insecure
//!   authority section contradicts itself.
//!
//! A private zone that its DNS server serves below a signed one without a delegation there, as clusters do with
//! `cluster.local`, is bogus, names that do not exist there included: the root proves that there is no such zone. It is right so,
//! and why no name is completed by a search list here.

use hickory_resolver::{
    net::NoRecords,
    proto::{
        dnssec::Proof,
        rr::{Name, RData, Record, RecordType},
    },
};

/// Aliases that are followed; hickory stops earlier.
const MOST_ALIASES: usize = 16;

/// The answer to a question: its records, at the end of their aliases.
#[derive(Debug, PartialEq)]
pub(super) struct Chain<'a> {
    /// The records asked for, at least one.
    pub(super) records: Vec<&'a Record>,
    /// Whether all of it is proved, aliases included.
    pub(super) secure: bool,
    /// Whether the name that was asked for is an alias, and whether that is proved, wherever it leads.
    pub(super) alias: Option<bool>,
}

/// The records that answer the question, found from the name that was asked for; none where they do not.
pub(super) fn chain<'a>(asked: &Name, record_type: RecordType, answers: &'a [Record]) -> Option<Chain<'a>> {
    let mut at = asked;
    let mut secure = true;
    let mut alias = None;
    for _ in 0..MOST_ALIASES {
        let records: Vec<_> =
            answers.iter().filter(|record| record.record_type() == record_type && record.name == *at).collect();
        if !records.is_empty() {
            secure &= records.iter().all(|record| record.proof == Proof::Secure);
            return Some(Chain { records, secure, alias });
        }
        let (record, next) = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(next) if record.name == *at => Some((record, &next.0)),
            _ => None,
        })?;
        let proved = record.proof == Proof::Secure;
        secure &= proved;
        alias = alias.or(Some(proved));
        at = next;
    }
    None
}

/// Whether an answer can be what its proofs say: a secure one does not come with a wholly insecure authority section.
pub(super) fn is_sound(chain: &Chain<'_>, authorities: &[Record]) -> bool {
    !chain.secure || authorities.is_empty() || !authorities.iter().all(|record| record.proof == Proof::Insecure)
}

/// Whether an answer that there is no such record may be believed: it is proved, or it is proved that nobody signs there.
pub(super) fn is_denial(asked: &Name, answer: &NoRecords) -> bool {
    let above = |name: &Name, proof| proof == Proof::Insecure && name.zone_of(asked);
    match &answer.authorities {
        Some(records) => {
            // hickory looked for the proof unless all of them were insecure.
            let looked = !records.iter().all(|record| record.proof == Proof::Insecure);
            looked || records.iter().any(|record| above(&record.name, record.proof))
        }
        None => answer.soa.as_ref().is_some_and(|soa| soa.proof == Proof::Secure || above(&soa.name, soa.proof)),
    }
}

/// The names below which TLSA records of a host are looked for, in this order (RFC 7672 sections 2.1.3 and 2.2.2): that at the end of
/// its aliases and then its own where all is proved, its own alone where no more than that is proved to be an alias, and none
/// where its addresses are not.
pub(super) fn tlsa_bases(name: &str, chain: &Chain<'_>) -> Vec<String> {
    let own = || name.to_owned();
    match (chain.secure, chain.alias) {
        (true, None) => vec![own()],
        (true, Some(_)) => {
            let end = chain.records.first().map(|record| record.name.to_ascii());
            let end = end.map(|end| end.trim_end_matches('.').to_ascii_lowercase());
            end.into_iter().chain([own()]).collect()
        }
        (false, Some(true)) => vec![own()],
        (false, _) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::{
        op::{Query, ResponseCode},
        rr::{
            RData,
            rdata::{A, CNAME, SOA},
        },
    };

    use super::*;

    use Proof::{Bogus, Indeterminate, Insecure, Secure};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, data);
        record.proof = proof;
        record
    }

    fn a(owner: &str, proof: Proof) -> Record {
        record(owner, RData::A(A::new(192, 0, 2, 1)), proof)
    }

    fn alias(owner: &str, of: &str, proof: Proof) -> Record {
        record(owner, RData::CNAME(CNAME(name(of))), proof)
    }

    fn soa(owner: &str, proof: Proof) -> Record {
        let soa = SOA::new(name("ns."), name("admin."), 1, 3600, 600, 86_400, 60);
        record(owner, RData::SOA(soa), proof)
    }

    #[test]
    fn only_what_belongs_to_the_question_decides_what_it_is_worth() {
        let asked = name("mx.example.");
        for (answers, bases) in [
            (vec![a("mx.example.", Secure)], Some(vec!["mx.example"])),
            (vec![a("mx.example.", Insecure)], Some(vec![])),
            (vec![a("mx.example.", Indeterminate)], Some(vec![])),
            // What somebody put beside it changes nothing.
            (vec![a("other.example.", Insecure), a("mx.example.", Secure)], Some(vec!["mx.example"])),
            (vec![alias("x.example.", "mx.example.", Bogus), a("mx.example.", Secure)], Some(vec!["mx.example"])),
            (vec![a("other.example.", Insecure)], None),
            (vec![], None),
            (
                vec![a("Real.Example.", Secure), alias("mx.example.", "real.example.", Secure)],
                Some(vec!["real.example", "mx.example"]),
            ),
            (
                vec![alias("mx.example.", "real.example.", Secure), a("real.example.", Insecure)],
                Some(vec!["mx.example"]),
            ),
            (vec![alias("mx.example.", "real.example.", Insecure), a("real.example.", Secure)], Some(vec![])),
            (
                vec![
                    alias("mx.example.", "two.example.", Secure),
                    alias("two.example.", "real.example.", Insecure),
                    a("real.example.", Secure),
                ],
                Some(vec!["mx.example"]),
            ),
            (vec![alias("mx.example.", "two.example.", Secure), alias("two.example.", "mx.example.", Secure)], None),
        ] {
            let found = chain(&asked, RecordType::A, &answers).map(|chain| tlsa_bases("mx.example", &chain));
            let bases = bases.map(|bases| bases.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(found, bases, "{answers:?}");
        }
    }

    #[test]
    fn a_denial_is_believed_where_it_is_proved_or_nobody_signs() {
        let asked = name("_25._tcp.mx.example.");
        let denial = |authorities: Vec<Record>| {
            let mut denial = NoRecords::new(Query::query(asked.clone(), RecordType::TLSA), ResponseCode::NoError);
            denial.authorities = (!authorities.is_empty()).then(|| authorities.into());
            denial
        };
        for (authorities, believed) in [
            (vec![soa("example.", Secure)], true),
            (vec![soa("example.", Insecure)], true),
            (vec![soa("mx.example.", Insecure)], true),
            // hickory finds all insecure, and looks no further.
            (vec![soa("attacker.", Insecure)], false),
            (vec![soa("attacker.", Insecure), soa("more.attacker.", Insecure)], false),
            (vec![soa("attacker.", Insecure), soa("example.", Insecure)], true),
            (vec![], false),
        ] {
            assert_eq!(is_denial(&asked, &denial(authorities.clone())), believed, "{authorities:?}");
        }
    }

    #[test]
    fn a_secure_answer_beside_an_insecure_authority_contradicts_itself() {
        for (proof, authorities, sound) in [
            (Secure, vec![], true),
            (Secure, vec![soa("example.", Secure)], true),
            (Secure, vec![soa("attacker.", Insecure)], false),
            (Insecure, vec![soa("example.", Insecure)], true),
        ] {
            let answers = [a("mx.example.", proof)];
            let chain = chain(&answers[0].name, RecordType::A, &answers).unwrap();
            assert_eq!(is_sound(&chain, &authorities), sound, "{proof:?} {authorities:?}");
        }
    }
}
