//! Names that come nearest to a wrong one. Knows edit distance; refuses to know what the names name.

/// Suggestions made at most.
const MAX_SUGGESTIONS: usize = 5;
/// Longer names are not compared beyond this many characters.
const MAX_LENGTH: usize = 80;
/// Candidates looked at: more keys than that are not worth a second of waiting.
const MAX_CANDIDATES: usize = 200_000;

/// The candidates most like `wanted`, nearest first, without repetitions. When there are few, all of them: then
/// they are the answer to what there is.
pub fn nearest(wanted: &str, candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let wanted = folded(wanted);
    let tolerance = (wanted.len() / 3).max(1);
    let mut scored: Vec<(usize, String)> = candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .map(|candidate| (score(&wanted, &candidate, tolerance), candidate))
        .collect();
    scored.sort();
    scored.dedup();
    if scored.len() > MAX_SUGGESTIONS {
        scored.retain(|&(score, _)| score <= tolerance);
        scored.truncate(MAX_SUGGESTIONS);
    }
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Distance of a candidate, or of the part after its last dot, from the wanted name; more than `tolerance` when far.
fn score(wanted: &[char], candidate: &str, tolerance: usize) -> usize {
    let whole = distance_within(wanted, &folded(candidate), tolerance);
    match candidate.rsplit_once('.') {
        Some((_, last)) => whole.min(distance_within(wanted, &folded(last), tolerance)),
        None => whole,
    }
}

/// The characters compared: case does not matter, and neither do the quotes of a literal.
fn folded(text: &str) -> Vec<char> {
    let bare = text.trim_start_matches('b').trim_matches(['\'', '"']);
    let bare = if bare.len() < text.len() && text.ends_with(['\'', '"']) { bare } else { text };
    bare.chars().take(MAX_LENGTH).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts (optimal string alignment). A text
/// that begins with the wanted one is one away.
fn distance_within(a: &[char], b: &[char], tolerance: usize) -> usize {
    if a.len() >= 3 && b.starts_with(a) {
        return usize::from(a.len() != b.len());
    }
    if a.len().abs_diff(b.len()) > tolerance {
        return tolerance + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut best = at(&previous, j) + usize::from(x != y);
            best = best.min(at(&previous, j + 1) + 1).min(at(&current, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_misspelt_name_finds_the_right_one() {
        let known = names(&["SESSIONS", "BUS", "Entry", "evict", "lookup", "SETTINGS"]);
        assert_eq!(nearest("SESION", known.clone()), ["SESSIONS"]);
        assert_eq!(nearest("entyr", known.clone()), ["Entry"]);
        assert!(nearest("completely_different", known).is_empty());
    }

    #[test]
    fn types_are_compared_by_their_last_part_too() {
        let known = names(&["app.cache.Entry", "a.B", "c.D", "e.F", "g.H", "i.J"]);
        assert_eq!(nearest("Entri", known), ["app.cache.Entry"]);
    }

    #[test]
    fn a_key_of_the_wrong_type_is_nearest() {
        let known = names(&["3", "'x1'", "'x2'", "'x3'", "'x4'", "'x5'", "'x6'"]);
        assert_eq!(nearest("'3'", known).first().map(String::as_str), Some("3"));
    }

    #[test]
    fn few_names_are_all_listed_and_many_are_cut() {
        assert_eq!(nearest("zzz", names(&["b", "a"])), ["a", "b"]);
        assert_eq!(nearest("key", (0..100).map(|n| format!("key{n}"))).len(), MAX_SUGGESTIONS);
    }

    /// The definition, by recursion.
    fn naive(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([a_first @ .., x], [b_first @ .., y]) => {
                let mut best = naive(a_first, b_first) + usize::from(x != y);
                best = best.min(naive(a_first, b) + 1).min(naive(a, b_first) + 1);
                if let ([a_rest @ .., p], [b_rest @ .., q]) = (a_first, b_first)
                    && p == y
                    && q == x
                {
                    best = best.min(naive(a_rest, b_rest) + 1);
                }
                best
            }
        }
    }

    proptest! {
        #[test]
        fn distance_agrees_with_its_definition(a in "[abc]{0,5}", b in "[abc]{0,5}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assume!(a.len() < 3 || !b.starts_with(&a));
            prop_assert_eq!(distance_within(&a, &b, 10), naive(&a, &b));
        }
    }
}
