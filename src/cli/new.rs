//! `doorbell new`: creates a commented rule as a starting point: a recipe, or a rule based on a received webhook, with a
//! test that contains it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::ended::Ended;
use super::settings::{Data, headers};
use super::terminal::stdout;
use crate::operations::drafts::{self, Draft, Sample};
use crate::text::printable::short;

#[derive(Args)]
#[command(
    after_help = "Examples: doorbell new\n          doorbell new contact-form --to rules/contact.yaml\n          doorbell new --event 0192f3c1 --to rules/orders.yaml"
)]
pub struct New {
    /// The recipe; without one, all recipes are listed
    recipe: Option<String>,
    /// Create a rule from this event: its id, or its first characters
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["recipe", "from"])]
    event: Option<String>,
    /// Create a rule from the body in this file
    #[arg(long, value_name = "FILE", requires = "path", conflicts_with = "recipe")]
    from: Option<PathBuf>,
    /// The address that received the body in the file
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// A header that came with the body, `Name: value`; can be repeated
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Save the rule in this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

impl New {
    pub fn run(self) -> anyhow::Result<Ended> {
        let Some(draft) = self.draft()? else { return list() };
        match &self.to {
            None => write!(stdout(), "{}", draft.text)?,
            Some(to) => {
                let mut file = std::fs::File::create_new(to).with_context(|| format!("{} cannot be created", to.display()))?;
                file.write_all(draft.text.as_bytes())?;
                writeln!(stdout(), "{} created; check it, then run: doorbell test {}", to.display(), to.display())?;
            }
        }
        Ok(Ended::Good)
    }

    /// The requested rule; `None` if the list of recipes is requested.
    fn draft(&self) -> anyhow::Result<Option<Draft>> {
        Ok(match (&self.recipe, &self.event, &self.from) {
            (Some(name), ..) => Some(drafts::recipe(name).map_err(anyhow::Error::msg)?),
            (_, Some(event), _) => {
                let queries = self.data.queries()?;
                let id = queries.ask(|r| r.find(event))?;
                let event = queries.ask(|r| r.dossier(id))?.event;
                Some(drafts::draft(&event.into(), &format!("the event {id}"), false))
            }
            (.., Some(file)) => Some(drafts::draft(&self.sample(file)?, &file.display().to_string(), false)),
            _ => None,
        })
    }

    fn sample(&self, file: &Path) -> anyhow::Result<Sample> {
        let body = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let address = self.path.as_deref().unwrap_or_default();
        Sample::read(address, headers(&self.headers)?, &body).map_err(anyhow::Error::msg)
    }
}

fn list() -> anyhow::Result<Ended> {
    let mut out = stdout();
    writeln!(out, "Recipes:\n")?;
    for recipe in drafts::recipes() {
        writeln!(out, "  {:24} {}", recipe.name, short(&recipe.does, 110))?;
    }
    writeln!(
        out,
        "\n`doorbell new NAME` prints a recipe, and --to FILE saves it; --event creates a rule from a webhook that was received"
    )?;
    Ok(Ended::Good)
}
