//! Text, character by character: cutting, comparing by spelling, percent-encoding, showing.

pub mod count;
pub mod nearest;
pub mod percent;
pub mod phrase;
pub mod printable;
pub mod span;
pub mod trigger_path;
pub mod word;
