//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that `word` is most likely a slip of: one edit for short words, two for longer ones,
/// a swap of neighbours counts as one.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = if lower.chars().count() < 4 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|c| (strsim::osa_distance(&lower, &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let all = ["claude", "codex", "fork", "run"];
        assert_eq!(nearest("claud", all), Some("claude"));
        assert_eq!(nearest("Cluade", all), Some("claude"));
        assert_eq!(nearest("frok", all), Some("fork"));
        assert_eq!(nearest("rnu", all), Some("run"));
        assert_eq!(nearest("emacs", all), None);
        assert_eq!(nearest("xyz", all), None);
    }
}
