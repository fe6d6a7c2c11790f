//! `doorbell new`: creates a commented rule as a starting point: a recipe, or a rule based on a received webhook, with a
//! test that contains it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::ended::Ended;
use super::settings::{Data, headers, read_file};
use super::terminal::stdout;
use crate::engine::rules::environment::Environment;
use crate::engine::rules::folder::read_rules;
use crate::operations::drafts::{self, Sample};
use crate::operations::neighbours::Neighbours;
use crate::operations::recipes::{self, NeededSecret, Recipe};
use crate::text::count::number;

#[derive(Args)]
#[command(
    after_help = "Examples: doorbell new --search slack\n          doorbell new contact-form --to rules/contact.yaml\n          doorbell new --event 0192f3c1 --to rules/orders.yaml"
)]
pub struct New {
    /// The recipe; without one, all recipes are listed
    recipe: Option<String>,
    /// List only the recipes with these words in their name, sentence, theme or apps
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["recipe", "event", "from"])]
    search: Option<String>,
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
    /// The folder with the rule files; what they say about the address is not repeated in the new one
    #[arg(long, env = "DOORBELL_RULES", default_value = "rules", value_name = "FOLDER")]
    rules: PathBuf,
    /// A file of NAME=value lines with secrets, to show which secrets of a recipe are not set yet
    #[arg(long, env = "DOORBELL_ENV_FILE", value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

/// What is shown for a secret that a recipe needs and nobody has set.
const NOT_SET: &str = "not set yet";

/// A rule file to print or save.
enum Wanted {
    Recipe(Recipe),
    Draft(String),
}

impl New {
    pub fn run(self) -> anyhow::Result<Ended> {
        let Some(wanted) = self.wanted()? else { return list(self.search.as_deref().unwrap_or_default()) };
        let text = match &wanted {
            Wanted::Recipe(recipe) => recipe.text,
            Wanted::Draft(text) => text,
        };
        let mut out = stdout();
        let Some(to) = &self.to else {
            write!(out, "{text}")?;
            return Ok(Ended::Good);
        };
        // The rules folder may not be there yet.
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be created", folder.display()))?;
        }
        let mut file = std::fs::File::create_new(to).with_context(|| format!("{} cannot be created", to.display()))?;
        file.write_all(text.as_bytes())?;
        match wanted {
            Wanted::Draft(_) => {
                // With the other files: without them, it may not say who can call its address.
                let tested = if self.is_next_to_rules() { &self.rules } else { to };
                writeln!(out, "{} created; check it, then run: doorbell test {}", to.display(), tested.display())?;
            }
            Wanted::Recipe(recipe) => {
                writeln!(out, "{} created. To set it up:\n", to.display())?;
                recipe.setup().try_for_each(|line| writeln!(out, "{line}"))?;
                writeln!(out, "{}\nThen run: doorbell check", self.secrets(&recipe)?)?;
            }
        }
        Ok(Ended::Good)
    }

    /// Which secrets a recipe needs, and which of them are set where this command runs.
    fn secrets(&self, recipe: &Recipe) -> anyhow::Result<String> {
        let environment = self.env_file.as_deref().map_or(Ok(Environment::default()), Environment::with_env_file)?;
        let environment = environment.and_handed(&self.data.data, self.data.key()?);
        let state = |secret: &NeededSecret| match (environment.has_secret(&secret.name), secret.from_sender) {
            (true, _) => "set",
            (false, true) => "the sender sends it",
            (false, false) => NOT_SET,
        };
        let secrets = recipe.needs().secrets;
        let width = secrets.iter().map(|secret| secret.name.len()).max().unwrap_or_default();
        let lines = secrets.iter().map(|secret| format!("  {:width$}  {}\n", secret.name, state(secret))).collect::<String>();
        let missing = secrets.iter().any(|secret| state(secret) == NOT_SET);
        let until = if missing { "Until all of them are set, a running Doorbell keeps using the rules from before.\n" } else { "" };
        Ok(match lines.as_str() {
            "" => String::new(),
            lines => format!("\nSecrets, as environment variables or files (docs/operating.md):\n{lines}{until}"),
        })
    }

    /// The requested rule; `None` if the list of recipes is requested.
    fn wanted(&self) -> anyhow::Result<Option<Wanted>> {
        Ok(match (&self.recipe, &self.event, &self.from) {
            (Some(name), ..) => Some(Wanted::Recipe(recipes::find(name).map_err(anyhow::Error::msg)?)),
            (_, Some(event), _) => {
                let queries = self.data.queries()?;
                let id = queries.ask(|r| r.find(event))?;
                let event = queries.ask(|r| r.dossier(id))?.event;
                Some(self.draft(&event.into(), &format!("the event {id}")))
            }
            (.., Some(file)) => Some(self.draft(&self.sample(file)?, &file.display().to_string())),
            _ => None,
        })
    }

    fn draft(&self, sample: &Sample, from: &str) -> Wanted {
        let sources = if self.is_next_to_rules() { read_rules(&self.rules).sources } else { Vec::new() };
        Wanted::Draft(drafts::draft(sample, from, &Neighbours::of(&sources)).text)
    }

    /// Whether the new file is loaded together with the rules folder.
    fn is_next_to_rules(&self) -> bool {
        let Ok(rules) = self.rules.canonicalize() else { return false };
        let folder = self.to.as_deref().map(|to| to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")));
        folder.is_none_or(|folder| folder.canonicalize().is_ok_and(|folder| folder.starts_with(&rules)))
    }

    fn sample(&self, file: &Path) -> anyhow::Result<Sample> {
        let body = read_file(file)?;
        let address = self.path.as_deref().unwrap_or_default();
        Sample::read(address, headers(&self.headers)?, &body).map_err(anyhow::Error::msg)
    }
}

fn list(words: &str) -> anyhow::Result<Ended> {
    let found = recipes::search(words);
    let mut out = stdout();
    if found.is_empty() {
        let near = recipes::similar_app(words).map_or_else(String::new, |app| format!("; did you mean {app}?"));
        anyhow::bail!("there is no recipe for `{words}`{near} (`doorbell new` lists all of them)");
    }
    let width = found.iter().map(|recipe| recipe.name.len()).max().unwrap_or_default();
    for (theme, recipes) in recipes::by_theme(&found) {
        writeln!(out, "{theme}\n")?;
        for recipe in recipes {
            writeln!(out, "  {:width$}  {}", recipe.name, recipe.does)?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "{}. `doorbell new NAME` prints one, --to FILE saves it and shows how to set it up, and --search WORDS finds those for an app;\n\
         --event creates a rule from a webhook that was received.",
        number(found.len(), "recipe")
    )?;
    Ok(Ended::Good)
}
