//! `doorbell console`: prints the link to the console of the running `serve`.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use super::ended::Ended;
use super::settings::Data;
use super::terminal::stdout;
use crate::operations::control;

#[derive(Args)]
#[command(after_help = "Example: doorbell console")]
pub struct PrintLink {
    /// Print the key for programs that use the API, instead of the link
    #[arg(long)]
    api_key: bool,
    #[command(flatten)]
    data: Data,
}

impl PrintLink {
    pub fn run(self) -> anyhow::Result<Ended> {
        let data = self.data.data.display();
        let access = control::console(&self.data.data)
            .with_context(|| format!("no Doorbell of this version is running with the data folder {data}; start it with `doorbell serve`, or choose another folder with --data"))?;
        let access = access.context("this Doorbell runs without a console; start it with --console 127.0.0.1:8081")?;
        writeln!(stdout(), "{}", if self.api_key { access.api_key } else { access.link })?;
        Ok(Ended::Good)
    }
}
