//! What a rule can express about an event: fields, values and their comparison, conditions, templates. `yaml` reads the
//! syntax of rule files, and the rules use the results.

pub mod calculation;
pub mod calendar;
pub mod comparison;
pub mod condition;
pub mod doubt;
pub mod field;
pub mod field_use;
pub mod moment;
pub mod names;
pub mod number;
pub mod outside_use;
pub mod projection;
pub mod scope;
pub mod spell;
pub mod template;
pub mod word_table;
