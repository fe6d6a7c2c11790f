//! Sizes, written in one way: a whole number and `bytes`, `KB` or `MB`.

use super::fields::Item;

/// Reads `10 MB`, `512 KB`, `100 bytes`; `what` is what has the size, such as `a body`.
pub fn read(item: &Item, what: &str, most: usize) -> Option<usize> {
    let text = item.text()?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let factor = match unit.trim() {
        "bytes" => Some(1),
        "KB" => Some(1 << 10),
        "MB" => Some(1 << 20),
        _ => None,
    };
    let size = text.strip_suffix(unit).unwrap_or(&text).parse::<usize>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    match size {
        Some(size) if (1..=most).contains(&size) => Some(size),
        Some(_) => {
            item.problem(format!("{what} can have at most {} MB", most >> 20)).add();
            None
        }
        None => {
            let draft = item.problem(format!("`{text}` is not a size")).label("write for example 5 MB");
            let number = text.strip_suffix(unit).unwrap_or(&text).trim();
            let ours = match unit.trim().to_lowercase().as_str() {
                "k" | "kb" | "kib" | "kilobytes" => Some(format!("{number} KB")),
                "m" | "mb" | "mib" | "megabytes" => Some(format!("{number} MB")),
                "g" | "gb" | "gib" => number.parse::<u64>().ok().and_then(|n| n.checked_mul(1024)).map(|n| format!("{n} MB")),
                "b" | "byte" => Some(format!("{number} bytes")),
                _ => None,
            };
            match ours {
                Some(ours) => draft.write(&ours).add(),
                None => draft.add(),
            }
            None
        }
    }
}
