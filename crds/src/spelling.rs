//! The nearest known word to one that is not known, for messages that ask "did you mean".

/// How far a word may be from the one that is suggested for it: a typing error or two, but no other word.
const NEAR: usize = 2;
/// Words so short are near to everything, so at most one letter of them may differ.
const SHORT: usize = 4;

/// The known word that is nearest to `word`, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    near(word, known).into_iter().next()
}

/// The known words that are near enough to `word` to have been meant, the nearest first.
pub(crate) fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = word.to_lowercase();
    let allowed = if word.chars().count() <= SHORT { 1 } else { NEAR };
    let distance = |candidate: &str| strsim::osa_distance(&lower, &candidate.to_lowercase());
    let mut near: Vec<(usize, &str)> = known.map(|candidate| (distance(candidate), candidate)).collect();
    near.retain(|(distance, _)| *distance <= allowed);
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_finds_the_word_that_was_meant_and_another_word_finds_none() {
        let known = ["windows", "exceptions", "timeZone", "default", "log"];
        for (word, meant) in [
            ("window", Some("windows")),
            ("timezone", Some("timeZone")),
            ("exeptions", Some("exceptions")),
            ("lgo", Some("log")),
            ("tls", None),
            ("schedule", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }
}
