//! What a rule can express about an event: fields, values and their comparison, conditions, templates. The syntax of rule
//! files is left to `yaml`, and what is done with the results to the rules.

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
