//! Text, character by character: cutting, comparing by spelling, percent-encoding.

pub mod percent;
pub mod span;
pub mod word;
