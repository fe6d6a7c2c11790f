//! `doorbell test`: runs the `tests:` of the rule files, and shows what was expected next to what would happen.
//!
//! Nothing is sent or written, no sender is verified, and `secret.NAME` is used as the value of every secret.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::ended::Ended;
use super::settings::{LoadOptions, Secrets};
use super::terminal::stdout;
use crate::operations::rule_tests::{self, TestResult};
use crate::problem;
use crate::text::count::number;

#[derive(Args)]
#[command(after_help = "Example: doorbell test rules/orders.yaml")]
pub struct RunTests {
    /// A rule file, or a folder of rule files
    #[arg(env = "DOORBELL_RULES", default_value = "rules")]
    path: PathBuf,
    /// Run only the tests of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    #[command(flatten)]
    load_options: LoadOptions,
}

impl RunTests {
    pub fn run(self) -> anyhow::Result<Ended> {
        let loaded = self.load_options.load(&self.path, Secrets::Words)?;
        let mut out = stdout();
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(Ended::Problems);
        };
        if let Some(name) = &self.rule
            && ruleset.rules.iter().all(|rule| *name != *rule.name)
        {
            anyhow::bail!("there is no rule called `{name}`");
        }
        let results = rule_tests::run(&ruleset, &self.path, self.rule.as_deref());
        for result in &results.tests {
            let TestResult { rule, test, file, line, column, differences } = result;
            match differences {
                None => writeln!(out, "✓ {rule}: {test}")?,
                Some(differences) => {
                    writeln!(out, "✗ {rule}: {test}\n    {file}:{line}:{column}\n{}", differences.trim_end_matches('\n'))?;
                }
            }
        }
        let failed = results.failed();
        if !results.tests.is_empty() {
            writeln!(out)?;
        }
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let rest = match results.without {
            0 => String::new(),
            1 => "; 1 rule has no tests".to_owned(),
            n => format!("; {n} rules have no tests"),
        };
        writeln!(out, "{} passed{failures}{rest}", number(results.tests.len() - failed, "test"))?;
        Ok(if failed > 0 { Ended::Problems } else { Ended::Good })
    }
}
