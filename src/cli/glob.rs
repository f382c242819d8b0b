//! Patterns for names: `*` stands for any text, `?` for one character, everything else for itself.

/// Whether `name` as a whole matches `pattern`. Takes time in proportion to the product of their lengths at most.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut position) = (0, 0);
    // Where to go on when what follows the last star does not fit: behind the star, one character later.
    let mut star = None;
    while position < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || name.get(position) == Some(&wanted) => {
                at += 1;
                position += 1;
            }
            _ => match star {
                Some((behind, from)) => {
                    star = Some((behind, from + 1));
                    (at, position) = (behind, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|&left| left == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("dict", "dict", true),
            ("dict", "dict_keys", false),
            ("dict*", "dict_keys", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "é", true),
            ("app.*.Entry", "app.cache.lru.Entry", true),
            ("app.*.Entry", "app.Entry", false),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxbxxbxcx", false),
            ("**", "anything", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
