//! What people mean by text in a condition: a number with a currency, a comparison in words, several values in one text.
//! Each function gives YAML that could be written instead; whether it fits is found out by trying it.

use crate::text::span;
use crate::yaml::is_json_number;
use crate::yaml::place::scalar;

/// Comparisons, longest first, and our test.
const COMPARISONS: [(&str, &str); 22] = [
    ("greater than or equal to ", "at_least"),
    ("less than or equal to ", "at_most"),
    ("greater than ", "over"),
    ("bigger than ", "over"),
    ("larger than ", "over"),
    ("more than ", "over"),
    ("less than ", "under"),
    ("lower than ", "under"),
    ("smaller than ", "under"),
    ("at least ", "at_least"),
    ("at most ", "at_most"),
    ("above ", "over"),
    ("over ", "over"),
    ("below ", "under"),
    ("under ", "under"),
    (">=", "at_least"),
    ("=>", "at_least"),
    ("<=", "at_most"),
    ("≥", "at_least"),
    ("≤", "at_most"),
    (">", "over"),
    ("<", "under"),
];
/// Tests in words, which take text.
const TEXT_TESTS: [(&str, &str); 10] = [
    ("is equal to ", "is"),
    ("equals ", "is"),
    ("contains ", "contains"),
    ("includes ", "contains"),
    ("starts with ", "starts_with"),
    ("begins with ", "starts_with"),
    ("ends with ", "ends_with"),
    ("matches ", "matches"),
    ("before ", "before"),
    ("after ", "after"),
];
const CURRENCIES: [&str; 8] = ["EUR", "USD", "GBP", "CHF", "€", "$", "£", "%"];
const EXISTS: [&str; 9] = [".*", "exists", "present", "is set", "not null", "!null", "is not null", "not missing", "*"];
const MISSING: [&str; 7] = ["missing", "absent", "not set", "not exists", "does not exist", "not present", "is missing"];
const EMPTY: [&str; 4] = ["empty", "blank", "is empty", "is blank"];
const NOT_EMPTY: [&str; 5] = ["not empty", "not blank", "is not empty", "non-empty", "!empty"];

/// A number that is written with a currency, with spaces, or as it is in another country; `None` if it could be two.
pub(super) fn number(text: &str) -> Option<String> {
    let mut bare = text.trim();
    if let Some(digits) = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(|number| number.to_string());
    }
    for unit in CURRENCIES {
        bare = bare.strip_prefix(unit).or_else(|| bare.strip_suffix(unit)).unwrap_or(bare).trim();
    }
    let bare = bare.replace(['_', '\'', '\u{a0}'], "");
    let bare = bare.strip_prefix('+').unwrap_or(&bare);
    let bare = if bare.starts_with('.') { format!("0{bare}") } else { bare.to_owned() };
    let number = match (bare.matches(',').count(), bare.contains('.')) {
        (0, _) => bare,
        // `19,99` has decimals, but `12,500` may be twelve or twelve thousand.
        (1, false) if bare.rsplit(',').next().is_some_and(|d| matches!(d.len(), 1 | 2)) => bare.replace(',', "."),
        _ => return None,
    };
    (number != text && is_json_number(&number)).then_some(number)
}

/// A comparison in words or signs: `> 100`, `more than 2`, `between 1 and 5`, `!= paid`.
pub(super) fn comparison(text: &str) -> Option<String> {
    let text = text.trim();
    let lower = text.to_lowercase();
    if let Some((a, b)) = lower.strip_prefix("between ").and_then(|rest| rest.split_once(" and "))
        && is_json_number(a.trim())
        && is_json_number(b.trim())
    {
        return Some(format!("{{ between: [{}, {}] }}", a.trim(), b.trim()));
    }
    for both in [" and ", " && ", " & "] {
        if let Some((a, b)) = text.split_once(both)
            && let (Some(a), Some(b)) = (comparison(a), comparison(b))
            && let (Some(a), Some(b)) = (a.strip_suffix(" }"), b.strip_prefix("{ "))
            && a.starts_with('{')
        {
            return Some(format!("{a}, {b}"));
        }
    }
    for range in ["...", "..", " to "] {
        if let Some((a, b)) = text.strip_prefix("from ").unwrap_or(text).split_once(range)
            && is_json_number(a.trim())
            && is_json_number(b.trim())
        {
            return Some(format!("{{ between: [{}, {}] }}", a.trim(), b.trim()));
        }
    }
    for (word, test) in COMPARISONS {
        if let Some(rest) = lower.strip_prefix(word) {
            let rest = rest.trim();
            let value = if is_json_number(rest) { Some(rest.to_owned()) } else { number(rest) };
            return value.map(|value| format!("{{ {test}: {value} }}"));
        }
    }
    for (sign, make) in [("!=", true), ("<>", true), ("==", false), ("=", false)] {
        if let Some(rest) = text.strip_prefix(sign) {
            let value = scalar(rest.trim().trim_matches(['\'', '"']));
            return Some(if make { format!("{{ not: {value} }}") } else { value });
        }
    }
    None
}

/// Whether some text only looks like a comparison, whatever follows.
pub(super) fn begins_with_sign(text: &str) -> bool {
    let text = text.trim_start();
    let after = text.strip_prefix(['>', '<']);
    ["==", "!=", ">=", "<=", "<>"].iter().any(|sign| text.starts_with(sign))
        || after.is_some_and(|rest| rest.starts_with(|c: char| c == ' ' || c.is_ascii_digit()))
}

/// A test in words: `exists`, `not empty`, `contains x`.
pub(super) fn test(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let is = |words: &[&str]| words.contains(&lower.as_str());
    if is(&EXISTS) {
        return Some("{ exists: true }".to_owned());
    }
    if is(&MISSING) {
        return Some("{ exists: false }".to_owned());
    }
    if is(&EMPTY) {
        return Some("{ empty: true }".to_owned());
    }
    if is(&NOT_EMPTY) {
        return Some("{ empty: false }".to_owned());
    }
    // `startsWith("A")`
    if let Some((name, value)) = text.trim().strip_suffix(')').and_then(|t| t.split_once('('))
        && let Some(test) = match name.to_lowercase().replace('_', "").as_str() {
            "startswith" => Some("starts_with"),
            "endswith" => Some("ends_with"),
            "contains" | "includes" => Some("contains"),
            "matches" | "match" | "regex" => Some("matches"),
            "equals" => Some("is"),
            _ => None,
        }
    {
        return Some(format!("{{ {test}: {} }}", scalar(value.trim_matches(['\'', '"']))));
    }
    if let Some(rest) = lower.strip_prefix("not ")
        && !["found", "available", "applicable", "started", "allowed", "authorized", "authorised", "implemented"].contains(&rest)
        && rest.chars().all(char::is_alphanumeric)
    {
        return Some(format!("{{ not: {} }}", scalar(span::from(text.trim(), 4))));
    }
    TEXT_TESTS.iter().find_map(|(words, test)| {
        let rest = lower.strip_prefix(words).filter(|rest| !rest.trim().is_empty())?;
        let value = span::from(text.trim(), text.trim().len() - rest.len()).trim().trim_matches(['\'', '"']);
        Some(format!("{{ {test}: {} }}", scalar(value)))
    })
}

/// Two numbers with a dash between them: `1-5`.
pub(super) fn range(text: &str) -> Option<String> {
    let (a, b) = text.split_once(['-', '–']).map(|(a, b)| (a.trim(), b.trim()))?;
    let is_number = |text: &str| is_json_number(text) && !text.starts_with('-');
    let order = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    (is_number(a) && is_number(b) && order.is_some_and(|(a, b)| a < b)).then(|| format!("{{ between: [{a}, {b}] }}"))
}

/// Two values in lower case with `and` between them, of which a field can only have one.
pub(super) fn both(text: &str) -> Option<String> {
    [" and ", " AND ", "&&", " & "].iter().find_map(|sign| {
        let parts: Vec<&str> = text.split(sign).map(|part| part.trim().trim_matches(['\'', '"'])).collect();
        let is_word = |part: &&str| !part.is_empty() && part.len() <= 30 && part.chars().all(|c| c.is_lowercase() || c == '_' || c == '-');
        (parts.len() > 1 && parts.iter().all(is_word)).then(|| format!("[{}]", parts.join(", ")))
    })
}

/// Several values in one text: `paid or open`, `paid | open`, `[paid, open]`, and `paid, open` if no word is a name.
pub(super) fn list(text: &str) -> Option<String> {
    let joined = text.replace(", or ", " or ");
    let inside = if joined.contains(" or ") && joined.contains(", ") { joined.replace(" or ", ", ") } else { joined };
    let inside = inside.trim();
    let inside = ["one of ", "any of ", "either ", "in "]
        .iter()
        .find_map(|words| inside.strip_prefix(words).filter(|r| r.contains([',', '(', '[']) || *words == "either "))
        .unwrap_or(inside);
    let bracketed = inside.strip_prefix(['[', '(']).and_then(|t| t.strip_suffix([']', ')']));
    let is_word =
        |part: &str| !part.is_empty() && part.len() <= 30 && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let split = |separator: &str, text: &str| -> Option<Vec<String>> {
        let parts: Vec<String> = text.split(separator).map(|p| p.trim().trim_matches(['\'', '"']).to_owned()).collect();
        (parts.len() > 1 && parts.len() <= 20 && parts.iter().all(|p| is_word(p))).then_some(parts)
    };
    let is_lower =
        |parts: &Vec<String>| parts.iter().all(|p| p.chars().all(|c| !c.is_uppercase()) && !p.chars().all(|c| c.is_ascii_digit()));
    let parts = match bracketed {
        Some(inner) => split(",", inner),
        None => split(" or ", inside)
            .or_else(|| split(" OR ", inside))
            .or_else(|| split("||", inside))
            .or_else(|| split("|", inside))
            .or_else(|| split(" / ", inside).filter(is_lower))
            .or_else(|| split(",", inside).filter(is_lower)),
    }?;
    Some(format!("[{}]", parts.iter().map(|p| scalar(p)).collect::<Vec<_>>().join(", ")))
}

/// A pattern: `/^paid$/i`, `^paid`, `paid*`.
pub(super) fn pattern(text: &str) -> Option<String> {
    let single = |p: &str| format!("'{}'", p.replace('\'', "''"));
    if let Some((inner, flags)) = slashed(text) {
        let case = if flags.contains('i') { ", ignore_case: true" } else { "" };
        return Some(format!("{{ matches: {}{case} }}", single(inner)));
    }
    // `1.2.*` is a version or a network, and not a pattern with a point for any character.
    if network(text).is_some() && text.ends_with('*') {
        return Some(format!("{{ like: {} }}", single(text)));
    }
    if text.len() > 2 && (text.starts_with('^') || text.ends_with('$') && text.contains(['*', '^', '[']))
        || [".*", "]+", "]*", "]{", "\\d", "\\w", "\\s"].iter().any(|part| text.contains(part))
        || text.strip_suffix('$').is_some_and(|t| t.ends_with(char::is_alphabetic))
    {
        return Some(format!("{{ matches: {} }}", single(text)));
    }
    if let Some(ours) = wildcard(text) {
        return Some(format!("{{ {ours} }}"));
    }
    let stars = text.trim_matches(['*', '%']);
    let is_glob =
        stars.len() < text.len() && !stars.is_empty() && !stars.contains([' ', '*', '%']) && !stars.ends_with(|c: char| c.is_ascii_digit());
    is_glob.then(|| format!("{{ like: {} }}", single(&text.replace('%', "*"))))
}

/// `pa?d`: in names of files, `?` is one character, and `*` any number of them. A question ends with its `?`.
pub(super) fn wildcard(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '?' | '*' | '_' | '-' | '.');
    let inside = text.trim_end_matches('?');
    // `2026-03-??` is not a question.
    let has_mark = inside.contains('?') || text.ends_with("??") && text.contains(|c: char| c.is_ascii_digit());
    let is_wildcard = text.len() > 2 && has_mark && text.chars().all(is_part) && text.chars().any(char::is_alphanumeric);
    let ours = text.replace('.', "\\.").replace('?', ".").replace('*', ".*");
    is_wildcard.then(|| format!("matches: '^{ours}$'"))
}

/// The network of addresses with the same beginning: `10.0.*`, `10.0.`.
pub(super) fn network(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let known: Vec<&str> = parts.iter().copied().take_while(|part| part.parse::<u8>().is_ok()).collect();
    let rest = parts.get(known.len()..)?;
    let is_open = !rest.is_empty() && rest.iter().all(|part| matches!(*part, "*" | "x" | ""));
    let zeros = vec!["0"; 4_usize.checked_sub(known.len())?];
    (is_open && !known.is_empty() && parts.len() <= 4)
        .then(|| format!("{}/{}", [known.as_slice(), &zeros].concat().join("."), known.len() * 8))
}

/// A pattern between slashes, and the flags behind it.
pub(super) fn slashed(text: &str) -> Option<(&str, &str)> {
    let (inner, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    let is_pattern = !inner.is_empty() && flags.chars().all(|c| matches!(c, 'i' | 'g' | 'm' | 's' | 'u'));
    (is_pattern && inner.contains(['^', '$', '.', '*', '+', '?', '\\', '[', '(', '|'])).then_some((inner, flags))
}

/// Whether it is a number with signs between its thousands, which could mean two numbers.
pub(super) fn is_grouped(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['.', ',', ' ', '\'']).collect();
    let whole = parts[0];
    let is_digits = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    parts.len() > 1
        && whole.len() <= 3
        && text.contains([',', ' ', '\''])
        && parts.iter().all(is_digits)
        && parts.get(1).is_some_and(|p| p.len() == 3)
}

/// What other languages write for true, false and null.
pub(super) fn literal(text: &str) -> Option<&'static str> {
    match text {
        "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some("true"),
        "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some("false"),
        "None" | "NULL" | "Null" | "nil" | "undefined" | "~" => Some("null"),
        _ => None,
    }
}

/// The list in `body.items.length`.
pub(super) fn length_of(key: &str) -> Option<&str> {
    let list = key.strip_suffix(".length").or_else(|| key.strip_suffix(".size")).or_else(|| key.strip_suffix(".count"))?;
    let last = list.rsplit('.').next()?;
    (key.starts_with("body.") && last.ends_with('s') && !last.ends_with("ss")).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_recognised_unless_they_could_be_two() {
        let number = |t| number(t).unwrap_or_default();
        assert_eq!(
            [number("19,99"), number("100 EUR"), number("$5"), number("1_000"), number(".5"), number("+5")],
            ["19.99", "100", "5", "1000", "0.5", "5"]
        );
        assert_eq!([number("0x1F"), number("0xyz")], ["31", ""]);
        assert_eq!([number("12,500"), number("1.234,50"), number("ten"), number("5")], ["", "", "", ""]);
        assert_eq!(number("12,5"), "12.5", "never 125");
    }

    #[test]
    fn comparisons_in_words_become_tests() {
        for (text, ours) in [
            ("> 100", "{ over: 100 }"),
            ("over 100", "{ over: 100 }"),
            ("more than 2", "{ over: 2 }"),
            (">=19,99", "{ at_least: 19.99 }"),
            ("!= paid", "{ not: paid }"),
            ("between 1 and 5", "{ between: [1, 5] }"),
        ] {
            assert_eq!(comparison(text).as_deref(), Some(ours), "{text}");
        }
        for text in ["over the moon", "under review", "paid"] {
            assert_eq!(comparison(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_and_networks_are_told_from_text() {
        assert_eq!([range("1-5"), range("1.5 – 20")].map(Option::unwrap_or_default), ["{ between: [1, 5] }", "{ between: [1.5, 20] }"]);
        for text in ["2024-01", "5-1", "-5", "1-", "a-b", "1-2-3", "12-12"] {
            assert_eq!(range(text), None, "{text}");
        }
        let networks = [network("10.*"), network("10.0."), network("192.168.7.*"), network("10.0.*.*")];
        assert_eq!(networks.map(Option::unwrap_or_default), ["10.0.0.0/8", "10.0.0.0/16", "192.168.7.0/24", "10.0.0.0/16"]);
        for text in ["10", "*", "", "300.*", "10.0.0.1", "a.*", "10.0.0.0.*"] {
            assert_eq!(network(text), None, "{text}");
        }
    }

    #[test]
    fn several_values_become_a_list_and_sentences_do_not() {
        assert_eq!(list("paid or open").as_deref(), Some("[paid, open]"));
        assert_eq!(list("paid|open").as_deref(), Some("[paid, open]"));
        assert_eq!(list("paid, open").as_deref(), Some("[paid, open]"));
        assert_eq!(list("paid, open or new").as_deref(), Some("[paid, open, new]"));
        assert_eq!(list("paid, open, or new").as_deref(), Some("[paid, open, new]"));
        assert_eq!(list("paid / open").as_deref(), Some("[paid, open]"));
        assert_eq!(both("paid and open").as_deref(), Some("[paid, open]"));
        assert_eq!(both("'paid' && 'open'").as_deref(), Some("[paid, open]"));
        for text in ["Trinidad and Tobago", "salt and", "android", "R&D"] {
            assert_eq!((both(text), list(text)), (None, None), "{text}");
        }
        for text in ["Berlin, Germany", "ready or not here I come", "a/b", "1,2", "paid"] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_are_told_from_paths_and_text() {
        assert_eq!(pattern("/^paid$/i").as_deref(), Some("{ matches: '^paid$', ignore_case: true }"));
        assert_eq!(pattern("paid*").as_deref(), Some("{ like: 'paid*' }"));
        assert_eq!(pattern("1.2.*").as_deref(), Some("{ like: '1.2.*' }"));
        assert_eq!(pattern("pa?d").as_deref(), Some("{ matches: '^pa.d$' }"));
        assert_eq!(pattern("a?-*.csv").as_deref(), Some("{ matches: '^a.-.*\\.csv$' }"));
        assert_eq!(pattern("2026-03-??").as_deref(), Some("{ matches: '^2026-03-..$' }"));
        assert_eq!(pattern("[A-Z]+").as_deref(), Some("{ matches: '[A-Z]+' }"));
        for text in ["paid?", "really?!", "??", "a?b=c", "why? because"] {
            assert_eq!(pattern(text), None, "{text}");
        }
        for text in ["/orders/new", "/", "a * b", "50%", "**bold** text", "paid"] {
            assert_eq!(pattern(text), None, "{text}");
        }
    }
}
