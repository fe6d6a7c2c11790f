//! Numbers of things in sentences.

/// `1 rule`, `2 rules`.
pub fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
