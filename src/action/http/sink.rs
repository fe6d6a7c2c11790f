//! Where the body of a response goes if it is to become a file: to the disk as it arrives, up to a limit.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;

use crate::action::files::folder::Unwritten;

/// How many pieces wait for the disk.
const WAITING: usize = 8;

/// An open file, and how many bytes may be written to it.
pub struct Sink {
    pub file: File,
    pub most: u64,
}

impl Sink {
    /// Whether a response with this status has a body that is meant.
    pub fn takes(status: u16) -> bool {
        (200..300).contains(&status) && !matches!(status, 204 | 205)
    }

    /// Writes the whole body. Returns how many bytes it has, or why it is not saved; the outer error is that of the connection.
    pub(super) async fn fill(self, response: &mut Response) -> reqwest::Result<Result<u64, Unwritten>> {
        let Sink { mut file, most } = self;
        let too_large = || Ok(Err(Unwritten::Never(format!("it sent more than {} MB; `max_size:` allows more", most >> 20))));
        if response.content_length().is_some_and(|length| length > most) {
            return too_large();
        }
        let (send, mut pieces) = mpsc::channel::<Bytes>(WAITING);
        let writing = tokio::task::spawn_blocking(move || -> io::Result<()> {
            while let Some(piece) = pieces.blocking_recv() {
                file.write_all(&piece)?;
            }
            Ok(())
        });
        let mut bytes = 0;
        while let Some(piece) = response.chunk().await? {
            bytes += piece.len() as u64;
            if bytes > most {
                return too_large();
            }
            // The disk has reported an error.
            if send.send(piece).await.is_err() {
                break;
            }
        }
        drop(send);
        Ok(match writing.await {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(e)) => Err(e.into()),
            Err(panic) => Err(Unwritten::Never(panic.to_string())),
        })
    }
}
