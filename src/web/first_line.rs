//! The first line of a connection: `"`, `<` and `>` in its address are percent-encoded before hyper, which refuses them,
//! sees them.
//!
//! Devices and gateways put text into an address and encode only its spaces. The first bytes of a connection are always the
//! beginning of a request, so only there is it certain what is an address; later ones are refused as before. What was last
//! received is remembered, so that a refusal can say what was refused.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many of the bytes that arrived after the last answer are remembered.
const REMEMBERED: usize = 300;

/// The beginning of what arrived last on a connection, after an answer to what came before it.
#[derive(Clone, Default)]
pub(super) struct LastReceived(Arc<Last>);

#[derive(Default)]
struct Last {
    bytes: Mutex<Vec<u8>>,
    /// Whether something was sent since, and is on its way.
    is_answered: AtomicBool,
}

impl LastReceived {
    fn remember(&self, bytes: &[u8], is_new: bool) {
        let mut last = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if is_new {
            last.clear();
        }
        let room = REMEMBERED - last.len();
        last.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether something was sent after it, and none of that is left in a buffer of Doorbell.
    pub fn is_answered(&self) -> bool {
        self.0.is_answered.load(Ordering::Relaxed)
    }

    fn set_answered(&self, is_answered: bool) {
        self.0.is_answered.store(is_answered, Ordering::Relaxed);
    }

    /// The method and the path, if it was a request's first line; the query may contain secrets.
    pub fn request(&self) -> (String, String) {
        let last = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&last);
        let mut words = text.lines().next().unwrap_or("").splitn(3, ' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let is_method = !method.is_empty() && method.len() <= 20 && method.bytes().all(|b| b.is_ascii_alphabetic());
        match is_method && target.starts_with('/') {
            true => (method.to_owned(), target.split('?').next().unwrap_or("").to_owned()),
            false => Default::default(),
        }
    }
}

/// A connection whose first line is repaired.
pub(super) struct FirstLine<S> {
    stream: S,
    last: LastReceived,
    /// Whether something was written since the last read.
    has_answered: bool,
    /// Whether the first line is still arriving.
    is_first: bool,
    /// What did not fit into the reader's buffer, or was put back.
    left: Vec<u8>,
}

impl<S> FirstLine<S> {
    pub fn new(stream: S, last: LastReceived) -> Self {
        Self { stream, last, has_answered: false, is_first: true, left: Vec::new() }
    }

    fn writes(&mut self) {
        self.has_answered = true;
        self.last.set_answered(false);
    }

    /// Lets the next reader read this first, which was read already.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.left.splice(..0, bytes.iter().copied());
        self.has_answered = false;
        self.last.set_answered(false);
    }

    /// Repairs what has arrived of the first line; `None` if nothing changes.
    fn repaired(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let line = bytes.iter().position(|b| *b == b'\n');
        self.is_first = line.is_none();
        let (line, rest) = bytes.split_at(line.unwrap_or(bytes.len()));
        if !line.iter().any(|b| encoded(*b).is_some()) {
            return None;
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        for byte in line {
            match encoded(*byte) {
                Some(letters) => out.extend_from_slice(letters),
                None => out.push(*byte),
            }
        }
        out.extend_from_slice(rest);
        Some(out)
    }
}

/// None of these can be in a request's first line but in its address.
fn encoded(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"%22"),
        b'<' => Some(b"%3C"),
        b'>' => Some(b"%3E"),
        _ => None,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.left.is_empty() {
            let size = self.left.len().min(buffer.remaining());
            buffer.put_slice(&self.left[..size]);
            self.left.drain(..size);
            if self.left.is_empty() {
                // Idle connections need no room for it.
                self.left = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = &buffer.filled()[before..];
        if received.is_empty() {
            return read;
        }
        let is_new = std::mem::take(&mut self.has_answered);
        self.last.set_answered(false);
        self.last.remember(received, is_new);
        if self.is_first
            && let Some(repaired) = self.repaired(received)
        {
            buffer.set_filled(before);
            let size = repaired.len().min(buffer.remaining());
            buffer.put_slice(&repaired[..size]);
            self.left.extend_from_slice(&repaired[size..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if self.has_answered && flushed.is_ready() {
            self.last.set_answered(true);
        }
        flushed
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.writes();
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// What arrives through buffers of this size, if it is sent in these pieces.
    async fn received(pieces: &[&str], size: usize) -> (String, (String, String)) {
        let (last, pieces) = (LastReceived::default(), pieces.iter().map(|piece| piece.as_bytes()).collect());
        let mut stream = FirstLine::new(Pieces(pieces), last.clone());
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            if n == 0 {
                return (String::from_utf8(all).unwrap(), last.request());
            }
            all.extend_from_slice(&buffer[..n]);
        }
    }

    /// A stream that gives one piece for each read.
    struct Pieces<'p>(std::collections::VecDeque<&'p [u8]>);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(piece) = self.0.pop_front() {
                let size = piece.len().min(buffer.remaining());
                buffer.put_slice(&piece[..size]);
                if size < piece.len() {
                    self.0.push_front(&piece[size..]);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn only_the_first_line_is_repaired_however_it_arrives() {
        let rest = " HTTP/1.1\r\nx: <\"\r\n\r\nGET /?\"> HTTP/1.1\r\n";
        let (sent, expected) = (format!("GET /a?t=\"<5>\"{rest}"), format!("GET /a?t=%22%3C5%3E%22{rest}"));
        for size in [1, 2, 7, 500] {
            for at in 1..sent.len() {
                assert_eq!(received(&[&sent[..at], &sent[at..]], size).await.0, expected, "{size} {at}");
            }
        }
        let (_, request) = received(&["GET /a?secret=1 HTTP/1.1\r\n"], 500).await;
        assert_eq!(request, ("GET".to_owned(), "/a".to_owned()));
        assert_eq!(received(&["{\"a\": 1}"], 500).await.1, Default::default());
    }
}
