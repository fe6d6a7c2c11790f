//! `doorbell senders`: lists the senders that can be verified by name, and how each of them signs.

use std::io::Write;

use clap::Args;

use super::ended::Ended;
use super::terminal::stdout;
use crate::text::nearest::nearest;
use crate::verify::{self, OR};

#[derive(Args)]
#[command(after_help = "Example: doorbell senders stripe")]
pub struct Senders {
    /// Show the details of this sender, and how to write it under `custom:`
    name: Option<String>,
}

impl Senders {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut out = stdout();
        let senders = verify::known_senders();
        let Some(wanted) = &self.name else {
            for (name, facts) in &senders {
                writeln!(out, "  {name:28} {}", facts.title)?;
            }
            writeln!(
                out,
                "\nWrite for example verify: {{ stripe: \"{{{{ secret.STRIPE }}}}\" }}; `doorbell senders NAME` shows the details."
            )?;
            writeln!(out, "Others: bearer, basic, token, and custom for any other way of signing (docs/senders.md).")?;
            return Ok(Ended::Good);
        };
        let Some((name, facts)) = senders.iter().find(|(name, _)| name == wanted) else {
            let near = nearest(wanted, senders.iter().map(|(name, _)| *name));
            let near = near.map_or_else(String::new, |n| format!("; did you mean {n}?"));
            anyhow::bail!("there is no sender called `{wanted}`{near} (`doorbell senders` lists them)");
        };
        writeln!(out, "{}\n", facts.title)?;
        writeln!(out, "webhooks:\n  /{name}:\n    verify: {}", facts.write)?;
        if let Some((scheme, handshake)) = verify::as_custom(name) {
            let secret = name.to_uppercase();
            writeln!(
                out,
                "\nThe same, written out under `custom:`:\n\n    verify:\n      custom:\n        secret: \"{{{{ secret.{secret}_SECRET }}}}\""
            )?;
            for line in scheme.lines() {
                writeln!(out, "      {line}")?;
            }
            if let Some(handshake) = handshake {
                writeln!(out, "        {handshake}")?;
            }
        }
        writeln!(out, "\nAt {}: {}.", facts.title, facts.paste)?;
        match facts.within.as_str() {
            "" => writeln!(out, "It is not known how long it waits for an answer; Doorbell answers as soon as the event is saved.")?,
            within => writeln!(out, "It waits {within} for an answer.")?,
        }
        match facts.delivery_id.as_slice() {
            [] => writeln!(out, "It does not send an id for each delivery.")?,
            fields => writeln!(
                out,
                "Repeated deliveries are detected by {} for {} hours.",
                fields.join(" and ").replace(OR, " or "),
                facts.remembered.unwrap_or(72).max(72)
            )?,
        }
        if !facts.note.is_empty() {
            writeln!(out, "Note: {}.", facts.note)?;
        }
        Ok(Ended::Good)
    }
}
