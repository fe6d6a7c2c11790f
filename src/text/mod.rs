//! Text, character by character: what is cut, compared by spelling, or written with percent signs.

pub mod percent;
pub mod span;
pub mod word;
