//! Several things in one sentence.

/// `one, two and three`; a part that has commas in it makes them semicolons.
pub fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => {
            let comma = if parts.iter().any(|part| part.contains(", ")) { "; " } else { ", " };
            let and = if comma == "; " { "; and " } else { " and " };
            format!("{}{and}{last}", rest.join(comma))
        }
    }
}
