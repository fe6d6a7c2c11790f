//! Numbers of things in sentences.

/// `1 rule`, `2 rules`.
pub fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`.
pub fn with_and(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `512 bytes`, `120 KB`, `25 MB`.
pub fn bytes(n: u64) -> String {
    match n {
        0..10_000 => number(n as usize, "byte"),
        10_000..10_000_000 => format!("{} KB", n >> 10),
        _ => format!("{} MB", n >> 20),
    }
}

/// `1,234`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b","[..])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_joined_as_in_a_sentence() {
        let all = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([0, 1, 2, 3].map(|n| with_and(&all[..n])), ["", "a", "a and b", "a, b and c"]);
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
