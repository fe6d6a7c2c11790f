//! A file as the body of an answer, read in pieces while somebody takes them: however large it is and however slow they are, only
//! one piece is in memory.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Channel};
use hyper::body::Frame;
use tokio::time::timeout;

use super::answer::Body;

/// How much is read at a time.
const PIECE: u64 = 64 << 10;
/// How long a browser may take for one piece.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first `size` bytes of the file. If there are fewer, because it was cut meanwhile, the connection ends before its time, so
/// that nobody takes the part for the whole.
pub fn of(file: File, size: u64) -> Body {
    let (mut send, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        let (mut file, mut left) = (file, size);
        while left > 0 {
            let piece = tokio::task::spawn_blocking(move || piece(&mut file, left).map(|bytes| (file, bytes))).await;
            let Ok(Some((again, bytes))) = piece else { return };
            left -= bytes.len() as u64;
            file = again;
            if !matches!(timeout(PATIENCE, send.send(Frame::data(bytes.into()))).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    body.boxed_unsync()
}

/// The next piece; `None` at the end, or if it cannot be read.
fn piece(file: &mut File, left: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(PIECE.min(left)).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}
