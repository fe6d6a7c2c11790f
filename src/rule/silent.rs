//! `silent: /orders`, `for: 6 hours`: a rule that starts when nothing came to an address for so long.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::expr::calendar::{read_between, read_days};
use crate::route::Route;
use crate::schedule::window::Window;
use crate::schedule::zone::Named;
use crate::yaml::duration;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;
use crate::yaml::place::scalar;

/// The keys that only go with it.
const KEYS: [&str; 4] = ["for", "between_times", "on_days", "back"];
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The silence that starts a rule.
#[derive(Debug, Clone)]
pub struct Silence {
    /// Where nothing comes.
    pub route: Route,
    /// For how long.
    pub time: Duration,
    /// What of the time counts.
    window: Window,
    pub zone: Named,
    /// Whether the rule starts again when something comes.
    pub back: bool,
    pub path: Path,
}

impl Silence {
    /// When the silence has lasted long enough, if nothing came since this moment.
    pub fn end(&self, since: Timestamp) -> Option<Timestamp> {
        let time = SignedDuration::try_from(self.time).ok()?;
        self.window.after(since, time, &self.zone.zone)
    }

    /// `nothing arrives at /orders for 6 hours (between 08:00 and 18:00, Europe/Berlin)`
    pub fn said(&self) -> String {
        let window = self.window.said();
        let window = if window.is_empty() { window } else { format!(" ({window}, {})", self.zone.name) };
        let back = if self.back { ", or something arrives there again" } else { "" };
        format!("nothing arrives at {} for {}{window}{back}", self.route.text(), duration::spell_largest(self.time))
    }

    /// Text that is different for different silences.
    pub fn fingerprint(&self) -> String {
        format!("{} {:?} {:?} {}", self.route.text(), self.time, self.window, self.zone.name)
    }
}

/// Reads one map under `when:` with `silent:`; problems have been reported. `item` is what is after `silent:`.
pub(super) fn read(item: &Item, when: &mut Fields, zone: &Named) -> Option<Silence> {
    let (time, times, days, back) = (when.may("for"), when.may("between_times"), when.may("on_days"), when.may("back"));
    let route = item.text().and_then(|text| match Route::read(&text) {
        Ok(route) => Some(route),
        Err(no) => {
            let draft = item.problem(no.message).label(no.label);
            match no.meant {
                Some(meant) => draft.write(&scalar(&meant)).add(),
                None => draft.add(),
            }
            None
        }
    });
    let time = match time {
        Some(time) => time.duration().filter(|length| {
            let fits = (SHORTEST..=LONGEST).contains(length);
            if !fits {
                time.problem("a silence lasts from 1 minute to 366 days").label("write for example `6 hours`").add();
            }
            fits
        }),
        None => {
            item.problem("`silent:` needs to know for how long").at_key().label("write it beside: for: 6 hours").add();
            None
        }
    };
    let times = times.map(|times| read_between(&times));
    let days = days.map(|days| read_days(&days));
    let back = back.is_some_and(|back| back.flag() == Some(true));
    let window =
        Window { times: times.map_or(Some(None), |times| times.map(Some))?, days: days.map_or(Some(None), |days| days.map(Some))? };
    Some(Silence { route: route?, time: time?, window, zone: zone.clone(), back, path: item.path.clone() })
}

/// Reports keys of a silence that are beside something else.
pub(super) fn look_at_keys(when: &mut Fields) {
    for key in KEYS {
        let Some(value) = when.may(key) else { continue };
        let draft = value.problem(format!("`{key}:` belongs to a silence")).at_key();
        match key {
            "on_days" => draft.label("for the days of an `at:`, write `days:`").meant("days").add(),
            "between_times" => draft.label("to run only at these times, write it under `if:`").add(),
            _ => draft.label("write it beside `silent: /address`, or remove it").add(),
        }
    }
}
