//! What became of events, in the words by which people search for them: in the address of a page, and on the command line.

use crate::model::run::State;
use crate::store::contract::WhatBecame;

/// The word, what people read, and what it means.
pub const OUTCOMES: [(&str, &str, WhatBecame); 7] = [
    ("failed", "a run failed", WhatBecame::Runs(State::Failed)),
    ("waiting", "a run waits", WhatBecame::Runs(State::Waiting)),
    ("done", "a run is done", WhatBecame::Runs(State::Done)),
    ("handled", "an error was handled", WhatBecame::Runs(State::Handled)),
    ("cancelled", "a run was cancelled", WhatBecame::Runs(State::Cancelled)),
    ("repeated", "a run was not run again", WhatBecame::Runs(State::Repeated)),
    ("none", "no rule ran", WhatBecame::Nothing),
];

/// The words alone.
pub const WORDS: [&str; OUTCOMES.len()] = {
    let mut words = [""; OUTCOMES.len()];
    let mut n = 0;
    while n < OUTCOMES.len() {
        words[n] = OUTCOMES[n].0;
        n += 1;
    }
    words
};

/// What a word means.
pub fn outcome(word: &str) -> Option<WhatBecame> {
    OUTCOMES.iter().find(|(known, ..)| *known == word).map(|(.., became)| *became)
}
