//! The known word that somebody has probably misspelled.

/// The known word nearest to what was written, if it is near enough to be a typing or spelling mistake.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let plain = |w: &str| w.to_lowercase().replace(['-', ' '], "_");
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        if plain(candidate) == plain(word) {
            return Some(candidate);
        }
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        let allowed = match candidate.chars().count() {
            0..=2 => 0,
            3..=4 => 1,
            5..=7 => 2,
            _ => 3,
        };
        let prefix = word.chars().count() >= 3 && candidate.to_lowercase().starts_with(&lower);
        if (distance <= allowed || prefix) && best.is_none_or(|(d, _)| distance < d) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, w)| w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_word_is_suggested_and_a_different_one_is_not() {
        assert_eq!(nearest("contians", ["is", "contains"]), Some("contains"));
        assert_eq!(nearest("StartsWith", ["starts_with", "ends_with"]), Some("starts_with"));
        assert_eq!(nearest("starts-with", ["starts_with", "ends_with"]), Some("starts_with"));
        assert_eq!(nearest("zebra", ["is", "contains"]), None);
    }
}
