//! `doorbell backup FILE`: copies events and runs into one file, as a consistent snapshot, while `serve` keeps running.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::progress::Progress;
use super::settings::Data;
use super::terminal::stdout;
use crate::disk;
use crate::store::audit::{Audit, me};

#[derive(Args)]
#[command(after_help = "Example: doorbell backup /backups/doorbell-monday.db")]
pub struct Backup {
    /// The file to create; it must not exist yet
    file: PathBuf,
    #[command(flatten)]
    data: Data,
}

impl Backup {
    pub fn run(self) -> anyhow::Result<Ended> {
        let queries = self.data.queries()?;
        if self.file.exists() {
            anyhow::bail!("{} already exists; choose another name, or move that file", self.file.display());
        }
        let folder = self.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Under a temporary name until it is complete, so that a partial copy is never mistaken for a backup.
        let name = self.file.file_name().and_then(|n| n.to_str()).context("this is not a file name")?;
        let half = folder.join(format!(".{name}.half"));
        let cannot =
            |e: std::io::Error| anyhow::anyhow!("the backup {} cannot be created: {}", self.file.display(), disk::error_sentence(&e));
        if half.exists() {
            std::fs::remove_file(&half).map_err(cannot)?;
        }
        if !folder.is_dir() {
            anyhow::bail!("the backup {} cannot be created: there is no folder {}", self.file.display(), folder.display());
        }
        disk::private_file().create_new(true).open(&half).map_err(cannot)?;
        let size = queries.ask(|r| r.size())?;
        let done = AtomicBool::new(false);
        let copied = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut progress = Progress::new("copying", size);
                while !done.load(Ordering::Relaxed) {
                    progress.at(half.metadata().map_or(0, |m| m.len()));
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let copied = queries.ask(|r| r.copy_to(&half));
            done.store(true, Ordering::Relaxed);
            copied
        });
        if let Err(e) = copied {
            let _ = std::fs::remove_file(&half);
            anyhow::bail!(
                "the backup {} cannot be created: {}",
                self.file.display(),
                e.to_string().replace("the data folder", folder.to_str().unwrap_or("."))
            );
        }
        std::fs::File::open(&half).and_then(|f| f.sync_all()).map_err(cannot)?;
        std::fs::rename(&half, &self.file).map_err(cannot)?;
        disk::flush_folder(folder).map_err(cannot)?;
        Audit::of(&self.data.data).write(Timestamp::now(), me(), format!("copied everything to {}", self.file.display()));
        let bytes = self.file.metadata().map_or(0, |m| m.len());
        writeln!(
            stdout(),
            "{} contains every event and run, {:.1} MB; to restore it, copy it as doorbell.db into an empty data folder",
            self.file.display(),
            bytes as f64 / 1e6
        )?;
        Ok(Ended::Good)
    }
}
