//! What a call sends: bytes, or pieces of which some are files. These are read while they are sent, so that a large file needs
//! no memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::channel::Channel;
use reqwest::{RequestBuilder, header};

/// How many bytes of a file are read at a time.
const PIECE: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub enum Payload {
    Bytes(Bytes),
    Pieces(Arc<[Piece]>),
}

#[derive(Debug)]
pub enum Piece {
    Bytes(Bytes),
    /// The beginning of a file, up to this length; what is added to it meanwhile is not sent.
    File(Arc<File>, u64),
}

impl Default for Payload {
    fn default() -> Self {
        Payload::Bytes(Bytes::new())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::Bytes(bytes.into())
    }
}

impl Payload {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Payload::Bytes(bytes) if bytes.is_empty())
    }

    /// Puts it into a request; may be done several times.
    pub(super) fn put(&self, request: RequestBuilder) -> RequestBuilder {
        let pieces = match self {
            Payload::Bytes(bytes) => return request.body(bytes.clone()),
            Payload::Pieces(pieces) => pieces.clone(),
        };
        let length: u64 = pieces.iter().map(Piece::length).sum();
        let (sender, body) = Channel::<Bytes, io::Error>::new(1);
        tokio::spawn(async move { send(&pieces, sender).await });
        // Many servers refuse an upload whose length they do not know.
        request.header(header::CONTENT_LENGTH, length).body(reqwest::Body::wrap(body))
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(_, length) => *length,
        }
    }
}

/// Sends all pieces, unless the call has ended.
async fn send(pieces: &[Piece], mut sender: http_body_util::channel::Sender<Bytes, io::Error>) {
    for piece in pieces {
        let (file, length) = match piece {
            Piece::Bytes(bytes) => {
                if sender.send_data(bytes.clone()).await.is_err() {
                    return;
                }
                continue;
            }
            Piece::File(file, length) => (file, *length),
        };
        let mut at = 0;
        while at < length {
            let (file, size) = (file.clone(), PIECE.min(length - at));
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; size as usize];
                file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
            });
            match read.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                Ok(bytes) => {
                    if sender.send_data(bytes).await.is_err() {
                        return;
                    }
                }
                Err(e) => return sender.abort(e),
            }
            at += size;
        }
    }
}
