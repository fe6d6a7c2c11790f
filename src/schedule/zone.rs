//! Time zones: by their names, such as `Europe/Berlin`, and the one of this machine.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, db};

use crate::text::nearest::nearest;

/// Abbreviations that are not the names of zones, and a place where they are used.
const ABBREVIATIONS: [(&str, &str); 16] = [
    ("CET", "Europe/Berlin"),
    ("EET", "Europe/Helsinki"),
    ("WET", "Europe/Lisbon"),
    ("GMT", "Europe/London"),
    ("EST", "America/New_York"),
    ("MST", "America/Denver"),
    ("MEZ", "Europe/Berlin"),
    ("MESZ", "Europe/Berlin"),
    ("CEST", "Europe/Berlin"),
    ("BST", "Europe/London"),
    ("EDT", "America/New_York"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("MDT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
];

/// The names of all places, sorted.
static PLACES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all: Vec<String> = db().available().map(|name| name.as_str().to_owned()).collect();
    all.retain(|name| name.contains('/') && !name.starts_with("posix/") && !name.starts_with("right/"));
    all.sort();
    all
});

/// Why there is no such zone, and the one that is probably meant, in quotes.
pub struct NoZone {
    pub why: String,
    pub meant: Option<String>,
}

impl NoZone {
    /// What to write, in a sentence.
    pub fn instead(&self) -> String {
        self.meant.as_ref().map_or(EXAMPLE.to_owned(), |meant| format!("did you mean {meant}?"))
    }
}

/// A time zone, with its name.
#[derive(Debug, Clone)]
pub struct Named {
    pub zone: TimeZone,
    pub name: String,
}

impl Named {
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// The zone of this machine: what `TZ` says, else its own setting, else UTC.
    pub fn system() -> Self {
        let zone = TimeZone::system();
        match zone.iana_name().map(str::to_owned) {
            Some(name) => Self { zone, name },
            None => Self::utc(),
        }
    }
}

/// For names that are near no other.
pub const EXAMPLE: &str = "write a place, for example 'Europe/Berlin'";

/// The zone of a place, or UTC: an abbreviation such as `EST` has no summer time, which people rarely mean.
pub fn place(name: &str) -> Result<Named, NoZone> {
    let no_place = || NoZone { why: format!("`{name}` is not the name of a place"), meant: near(name).map(str::to_owned) };
    let known = zone(name).map_err(|no| NoZone { meant: near(name).map(str::to_owned), ..no })?;
    if name != "UTC" && !name.contains('/') {
        return Err(no_place());
    }
    Ok(Named { zone: known, name: name.to_owned() })
}

pub fn zone(name: &str) -> Result<TimeZone, NoZone> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name)
        .map_err(|_| NoZone { why: format!("there is no time zone called `{name}`"), meant: near(name).map(|near| format!("'{near}'")) })
}

/// The known zone that was probably meant.
fn near(name: &str) -> Option<&str> {
    // Finding the nearest of hundreds of names takes long for a long one.
    if name.len() > 60 {
        return None;
    }
    if let Some((_, place)) = ABBREVIATIONS.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)) {
        return Some(place);
    }
    let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
    let is_there = |place: &&String| place.rsplit('/').next().is_some_and(|known| known.eq_ignore_ascii_case(&city));
    let known = PLACES.iter().find(is_there).map(String::as_str);
    known.or_else(|| nearest(name, PLACES.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_zone_is_answered_with_the_nearest_known_one() {
        for (name, instead) in [
            ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
            ("Berlin", "did you mean 'Europe/Berlin'?"),
            ("new york", "did you mean 'America/New_York'?"),
            ("CEST", "did you mean 'Europe/Berlin'?"),
            ("+02:00", "write a place, for example 'Europe/Berlin'"),
            ("", "write a place, for example 'Europe/Berlin'"),
        ] {
            assert_eq!(zone(name).err().map(|e| e.instead()).as_deref(), Some(instead), "{name}");
        }
        assert!(zone("Europe/Berlin").is_ok() && zone("UTC").is_ok());
    }
}
