//! Keeps numbers with an exponent as they came: serde_json makes `1e+5` of `1E5`. The value is the same, but the text that rules
//! pass on would be another one.

use serde_json::{Number, Value};

use crate::body::walk::{Walk, name};

/// Parses JSON text, as serde_json does.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    let mut value = serde_json::from_str(text)?;
    if may_have_exponent(text) {
        restore(&mut Walk::new(text), Some(&mut value));
    }
    Ok(value)
}

/// A number of JSON, as it is spelled.
pub fn number(text: &str) -> Option<Number> {
    text.parse::<Number>().ok()?;
    // Only this makes a number of a given spelling; the text was parsed above.
    Some(Number::from_string_unchecked(text.to_owned()))
}

/// Whether a digit is followed by an `e` anywhere. Often, that is only part of an id, and nothing is restored.
fn may_have_exponent(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| matches!(pair, [b'0'..=b'9', b'e' | b'E']))
}

/// Walks over a value, and gives its numbers the spelling that they have in the text. If a name is repeated, the last value
/// counts; `value` is missing for what is not there.
fn restore(walk: &mut Walk, mut value: Option<&mut Value>) -> Option<()> {
    match walk.first()? {
        b'{' => walk.members(|walk, spelled| {
            let inner = value.as_mut().and_then(|value| value.get_mut(&*name(spelled)));
            restore(walk, inner)
        }),
        b'[' => {
            let mut at = 0;
            walk.items(|walk| {
                let inner = value.as_mut().and_then(|value| value.get_mut(at));
                at += 1;
                restore(walk, inner)
            })
        }
        b'-' | b'0'..=b'9' => {
            let text = walk.skip()?;
            if let Some(Value::Number(number)) = value
                && text.contains(['e', 'E'])
                && text.parse::<Number>().is_ok_and(|same| same == *number)
                && let Some(spelled) = self::number(text)
            {
                *number = spelled;
            }
            Some(())
        }
        _ => walk.skip().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_came() {
        for text in ["1E5", "[1e5,1E+5,-2.50e-3,100,1.10]", r#"{"a":{"b":[{"c":1E400}]},"id":"7e5","é":0e0}"#] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        // The last of two values counts.
        assert_eq!(parse(r#"{"a": 1E5, "a": 2e5, "\u0062": 3E1}"#).unwrap().to_string(), r#"{"a":2e5,"b":3E1}"#);
        assert_eq!(parse(r#"{"a": 1E5, "a": "x"}"#).unwrap().to_string(), r#"{"a":"x"}"#);
        assert!(parse("[1E]").is_err());
    }
}
