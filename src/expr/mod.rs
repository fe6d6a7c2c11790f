//! What a rule can say about an event: fields, values and how they compare, conditions, templates. Where it is written in a
//! rule file is left to `yaml`, what is done with it to the rules.

pub mod comparison;
pub mod condition;
pub mod field;
pub mod moment;
pub mod names;
pub mod number;
pub mod projection;
pub mod scope;
pub mod spell;
pub mod template;
