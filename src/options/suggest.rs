//! `did you mean ...?`: the known words that are nearest to an unknown one.

use strsim::osa_distance;

use crate::error::Hint;

/// The most bytes of a word that is compared.
const LONGEST: usize = 40;
/// The most words that are suggested.
const MOST: usize = 4;

/// The known words that are nearest to `word`, each with `dashes` in front.
pub(crate) fn hint<'a>(word: &str, dashes: &str, known: impl IntoIterator<Item = &'a str>) -> Hint {
    Hint(nearest(word, known).iter().map(|word| format!("{dashes}{word}")).collect())
}

/// The known words that are nearest to `word`, in their order: those that it is the
/// beginning or some parts of, or else those that differ from it by a few letters, also
/// with its parts in another order.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase().replace('_', "-");
    if !(2..=LONGEST).contains(&word.len()) {
        return Vec::new();
    }
    let mut least = word.len() / 3;
    let mut near = Vec::new();
    for known in known {
        let distance = distance(&word, known);
        if distance < least {
            near.clear();
            least = distance;
        }
        if distance == least && near.len() < MOST {
            near.push(known);
        }
    }
    near
}

/// The distance of `word` from `known`; 0 if it is the beginning, or some of the parts.
fn distance(word: &str, known: &str) -> usize {
    let mut parts = word.split('-');
    if known.starts_with(word) || parts.all(|part| known.split('-').any(|own| own == part)) {
        return 0;
    }
    osa_distance(word, known).min(osa_distance(&in_order(word), &in_order(known)))
}

fn in_order(word: &str) -> String {
    let mut parts: Vec<&str> = word.split('-').collect();
    parts.sort_unstable();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] =
        ["delay", "delay-static", "delay-none", "static-file", "early", "refuse", "tag"];

    #[test]
    fn slips_of_the_pen_are_recognized() {
        for (word, meant) in [
            ("static-delay", &["delay-static"][..]),
            ("delay-sttaic", &["delay-static"]),
            ("delay_none", &["delay-none"]),
            ("Delay-None", &["delay-none"]),
            ("delays", &["delay"]),
            ("erly", &["early"]),
            ("ref", &["refuse"]),
            ("delay-", &["delay-static", "delay-none"]),
            ("static", &["delay-static", "static-file"]),
            ("tga", &["tag"]),
        ] {
            assert_eq!(nearest(word, KNOWN), meant, "{word}");
        }
        let long = "x".repeat(100_000);
        for nothing in ["", "x", "nonsense", "hold-on", &long] {
            assert_eq!(nearest(nothing, KNOWN), Vec::<&str>::new(), "{nothing:.20}");
        }
    }

    #[test]
    fn a_hint_is_a_question_or_nothing() {
        let hint = |word, dashes| hint(word, dashes, KNOWN).to_string();
        assert_eq!(hint("delya", "--"), ": did you mean --delay?");
        assert_eq!(hint("static", ""), ": did you mean delay-static or static-file?");
        assert_eq!(hint("nonsense", "--"), "");
    }
}
