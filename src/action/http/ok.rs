//! `ok:` of a call: the statuses that count as success.

use std::ops::RangeInclusive;

use crate::yaml::fields::Item;

pub(super) fn read_ok(item: &Item) -> Option<Vec<RangeInclusive<u16>>> {
    let mut out = Vec::new();
    for one in item.one_or_more("write for example [200-299, 404]")? {
        let text = one.text()?;
        let range = text.split_once('-').unwrap_or((&text, &text));
        match (range.0.trim().parse::<u16>(), range.1.trim().parse::<u16>()) {
            (Ok(a), Ok(b)) if (100..=599).contains(&a) && a <= b && b <= 599 => out.push(a..=b),
            (Ok(a), Ok(b)) if a > b => {
                one.problem(format!("`{text}` begins with the larger number"))
                    .label("write the smaller number first")
                    .write(&format!("{b}-{a}"))
                    .add();
                return None;
            }
            _ => {
                let draft = one.problem(format!("`{text}` is not a status")).label("write for example [200-299, 404]");
                match text.to_lowercase().strip_suffix("xx").filter(|c| matches!(*c, "2" | "3" | "4" | "5")) {
                    Some(class) => draft.write(&format!("{class}00-{class}99")).add(),
                    None => draft.add(),
                }
                return None;
            }
        }
    }
    if !out.iter().any(|range| (200..300).any(|status| range.contains(&status))) {
        let draft = item.warning("no status of success (200 to 299) is in this list, so every call that works counts as failed");
        let listed: Vec<String> =
            out.iter().map(|r| if r.start() == r.end() { r.start().to_string() } else { format!("{}-{}", r.start(), r.end()) }).collect();
        draft.label("add 200-299, unless only these statuses are a success").write(&format!("[200-299, {}]", listed.join(", "))).add();
    }
    Some(out)
}
