//! Numbers in their original form: compared digit by digit, never as floats.
//!
//! A number in a webhook may have 20 digits or an exponent of 400; both have to be compared exactly. Arithmetic (in template
//! helpers) uses `rust_decimal`; this module only orders numbers.

use std::cmp::Ordering;

/// A parsed number: its value is 0.DIGITS × 10^`exponent`, with no zeros at either end of the digits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    negative: bool,
    digits: String,
    exponent: i64,
}

fn parts(text: &str) -> Option<Parts> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i64>().unwrap_or(if e.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 })),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let exponent = exponent.saturating_add(digits.len() as i64 - fraction.len() as i64);
    let digits = digits.trim_end_matches('0').to_owned();
    if digits.is_empty() {
        return Some(Parts { negative: false, digits, exponent: 0 });
    }
    Some(Parts { negative, digits, exponent })
}

/// Compares two numbers; `None` if one of them is not a number.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (parts(a)?, parts(b)?);
    let size = |p: &Parts| match (p.digits.is_empty(), p.negative) {
        (true, _) => 0,
        (_, true) => -1,
        (_, false) => 1,
    };
    if size(&a) != size(&b) || size(&a) == 0 {
        return Some(size(&a).cmp(&size(&b)));
    }
    let order = a.exponent.cmp(&b.exponent).then_with(|| a.digits.cmp(&b.digits));
    Some(if a.negative { order.reverse() } else { order })
}

/// The canonical spelling of a value, so that equal numbers can be looked up by it.
pub fn canonical(text: &str) -> Option<String> {
    parts(text).map(|p| format!("{}{}e{}", if p.negative { "-" } else { "" }, p.digits, p.exponent))
}

/// Whether text is a plain number, such as in a form: digits, optionally with a sign and a decimal point; leading zeros are
/// allowed.
pub fn is_plain(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// The languages in which numbers can be read.
pub const LANGUAGES: [&str; 12] = ["de", "en", "fr", "es", "it", "nl", "pt", "da", "pl", "sv", "ch", "at"];

/// What separates groups of three digits in a language, and what precedes the decimals.
fn separators(language: &str) -> (&'static [char], char) {
    // Spaces of three widths.
    const SPACES: &[char] = &[' ', '\u{a0}', '\u{202f}'];
    match language {
        "en" => (&[','], '.'),
        "ch" => (&['\'', '’'], '.'),
        "fr" | "pl" | "sv" => (SPACES, ','),
        "at" => (&['.', ' ', '\u{a0}', '\u{202f}'], ','),
        _ => (&['.'], ','),
    }
}

/// A number as it is written in a language, as JSON writes it; without a language, plain digits. `1.23` is not a number in
/// a language that separates groups of three digits by points.
pub fn localized(text: &str, language: &str) -> Option<String> {
    let text = text.trim();
    if language.is_empty() {
        return if is_plain(text) { Some(without_zeros(text)) } else { crate::yaml::is_json_number(text).then(|| text.to_owned()) };
    }
    let (group, point) = separators(language);
    let (sign, rest) = match text.strip_prefix(['-', '−']) {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = rest.split_once(point).map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let groups: Vec<&str> = whole.split(group).collect();
    let grouped = match groups.as_slice() {
        [_] => true,
        [first, others @ ..] => (1..=3).contains(&first.len()) && others.iter().all(|group| group.len() == 3),
        [] => false,
    };
    let digits = groups.concat();
    let plain = fraction.map_or_else(|| format!("{sign}{digits}"), |fraction| format!("{sign}{digits}.{fraction}"));
    (grouped && is_plain(&plain)).then(|| without_zeros(&plain))
}

/// A plain number without the zeros at its beginning, which JSON does not allow.
fn without_zeros(plain: &str) -> String {
    let (sign, rest) = plain.strip_prefix('-').map_or(("", plain), |rest| ("-", rest));
    let short = rest.trim_start_matches('0');
    let zero = if short.is_empty() || short.starts_with('.') { "0" } else { "" };
    format!("{sign}{zero}{short}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::*;

    #[test]
    fn numbers_are_compared_exactly() {
        for (a, b, order) in [
            ("5", "5.0", Equal),
            ("5e0", "0.05e2", Equal),
            ("-0", "0", Equal),
            ("9007199254740993", "9007199254740992", Greater),
            ("12345678901234567890", "12345678901234567891", Less),
            ("1e400", "1e399", Greater),
            ("-2", "-10", Greater),
            ("-1", "0.0001", Less),
            ("0.1", "0.09", Greater),
            ("1e99999999999999999999", "1", Greater),
        ] {
            assert_eq!(compare(a, b), Some(order), "{a} and {b}");
        }
        assert_eq!(compare("a", "1"), None);
        assert_eq!(canonical("5.00"), canonical("5"));
    }

    #[test]
    fn plain_numbers_have_no_exponent() {
        assert!(is_plain("007") && is_plain("-1.50") && is_plain("0"));
        assert!(!is_plain("1e5") && !is_plain("1.") && !is_plain("+1") && !is_plain("") && !is_plain("0x1F"));
    }

    #[test]
    fn numbers_are_read_as_they_are_written_in_a_language() {
        for (text, language, expected) in [
            ("007.50", "", "7.50"),
            (" -0.5 ", "", "-0.5"),
            ("000", "", "0"),
            ("1e5", "", "1e5"),
            ("1.234,50", "de", "1234.50"),
            ("1.234.567", "de", "1234567"),
            ("-3,5", "de", "-3.5"),
            ("1234,5", "de", "1234.5"),
            ("1,234.50", "en", "1234.50"),
            ("1 234,50", "fr", "1234.50"),
            ("1\u{202f}234,50", "fr", "1234.50"),
            ("1'234.50", "ch", "1234.50"),
            ("1.234,50", "", "-"),
            ("1.23", "de", "-"),
            ("1.234.56,7", "de", "-"),
            ("1,234.50", "de", "-"),
            (".5", "en", "-"),
            ("5,", "de", "-"),
            ("1,2,3", "de", "-"),
            ("12 €", "de", "-"),
            ("", "de", "-"),
            ("", "", "-"),
        ] {
            assert_eq!(localized(text, language).as_deref().unwrap_or("-"), expected, "{text} {language}");
        }
    }
}
