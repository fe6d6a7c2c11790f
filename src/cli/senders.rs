//! `doorbell senders`: who can be verified by name, and how each of them signs.

use std::io::Write;

use clap::Args;

use super::Ended;
use crate::problem::nearest;
use crate::signature;

#[derive(Args)]
#[command(after_help = "Example: doorbell senders stripe")]
pub struct Senders {
    /// Everything about this one, as it could be written under `custom:`
    name: Option<String>,
}

impl Senders {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut out = std::io::stdout().lock();
        let Some(name) = &self.name else {
            for sender in signature::senders() {
                writeln!(out, "  {:28} {}", sender.name, sender.title)?;
            }
            writeln!(out, "\nWrite for example verify: {{ stripe: \"{{{{ secret.STRIPE }}}}\" }}; doorbell senders NAME tells more.")?;
            writeln!(out, "Others: bearer, basic, token, and custom for whatever signs in its own way (docs/senders.md).")?;
            return Ok(Ended::Good);
        };
        let Some(sender) = signature::senders().into_iter().find(|s| s.name == *name) else {
            let near = nearest(name, signature::senders().into_iter().map(|s| s.name));
            let near = near.map_or_else(String::new, |n| format!("; did you mean {n}?"));
            anyhow::bail!("no sender is called `{name}`{near} `doorbell senders` lists them");
        };
        writeln!(out, "{}\n", sender.title)?;
        writeln!(out, "webhooks:\n  /{}:\n    verify: {{ {}: \"{{{{ secret.{}_SECRET }}}}\" }}\n", name, name, name.to_uppercase())?;
        writeln!(
            out,
            "the same, in its own words:\n\n    verify:\n      custom:\n        secret: \"{{{{ secret.{}_SECRET }}}}\"",
            name.to_uppercase()
        )?;
        for line in sender.words.lines() {
            writeln!(out, "      {line}")?;
        }
        match sender.delivery_id {
            Some(field) => writeln!(out, "\nA delivery that comes twice is known by {field}.")?,
            None => writeln!(out, "\nIt sends no id of a delivery.")?,
        }
        if !sender.note.is_empty() {
            writeln!(out, "To know: {}.", sender.note)?;
        }
        Ok(Ended::Good)
    }
}
