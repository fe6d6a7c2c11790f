//! `doorbell schema`: prints a JSON Schema for rule files, for completion and help in editors.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::terminal::stdout;
use crate::rule::schema;

#[derive(Args)]
#[command(
    after_help = "Example: doorbell schema > rules/doorbell.schema.json\nand as the first line of a rule file: # yaml-language-server: $schema=doorbell.schema.json"
)]
pub struct Schema {}

impl Schema {
    pub fn run(self) -> anyhow::Result<Ended> {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&schema::json_schema())?)?;
        Ok(Ended::Good)
    }
}
