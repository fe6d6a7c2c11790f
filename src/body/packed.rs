//! Compressed bodies: `Content-Encoding` gzip and deflate (RFC 9110, 8.4), decompressed up to a limit, so that a few bytes
//! cannot become gigabytes.

use std::io::Read;

use bytes::Bytes;
use encoding_rs::Encoding;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The maximum compression ratio of a body, above the first [`ALWAYS`] bytes. Text usually shrinks to 5 to 10 %; data
/// that shrinks much more is probably meant to cause work.
const MOST_TIMES: usize = 100;
const ALWAYS: usize = 1 << 20;
/// The maximum number of nested encodings.
const MOST_LAYERS: usize = 2;

/// Why a body could not be decompressed.
#[derive(Debug, PartialEq)]
pub enum Unpacked {
    /// With a sentence for the sender.
    Not(String),
    /// It would exceed the limit.
    TooLarge,
}

/// The maximum number of bytes that this many can be decompressed to.
pub fn most_unpacked(packed: usize) -> usize {
    packed.saturating_mul(MOST_TIMES).max(ALWAYS)
}

/// Decompresses a body, up to `limit` bytes; `encoding` is the header's value.
pub fn unpack(encoding: &str, body: &Bytes, limit: usize) -> Result<Bytes, Unpacked> {
    // Some senders write the encoding of their letters here (`UTF-8`), which says nothing about compression.
    let is_packed = |l: &String| !l.is_empty() && l != "identity" && Encoding::for_label(l.as_bytes()).is_none();
    let layers: Vec<String> = encoding.split(',').map(|l| l.trim().to_ascii_lowercase()).filter(is_packed).collect();
    if layers.len() > MOST_LAYERS {
        return Err(Unpacked::Not("The body is compressed too many times.".into()));
    }
    let ratio = most_unpacked(body.len());
    let mut now = body.clone();
    for layer in layers.iter().rev() {
        now = match layer.as_str() {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(&now[..]), limit, ratio, layer)?,
            // Some senders omit the zlib wrapper.
            "deflate" => match now.first().is_some_and(|b| b & 0x0f == 8) {
                true => read(ZlibDecoder::new(&now[..]), limit, ratio, layer)?,
                false => read(DeflateDecoder::new(&now[..]), limit, ratio, layer)?,
            },
            other => {
                return Err(Unpacked::Not(format!(
                    "The body is compressed with {other}, which is not supported; send it uncompressed or as gzip."
                )));
            }
        };
    }
    Ok(now)
}

fn read(packed: impl Read, limit: usize, ratio: usize, layer: &str) -> Result<Bytes, Unpacked> {
    let mut out = Vec::new();
    match packed.take(limit.min(ratio) as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(Unpacked::TooLarge),
        Ok(_) if out.len() > ratio => {
            Err(Unpacked::Not(format!("The body is compressed to less than 1/{MOST_TIMES} of its size; send it uncompressed.")))
        }
        Ok(_) => Ok(out.into()),
        Err(_) => Err(Unpacked::Not(format!("The body is declared as {layer}, but it cannot be decompressed."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn all(mut from: impl Read) -> Bytes {
        let mut out = Vec::new();
        from.read_to_end(&mut out).unwrap();
        out.into()
    }

    #[test]
    fn bodies_are_decompressed_up_to_the_limit() {
        let plain = "hello ".repeat(100);
        let gzip = all(GzEncoder::new(plain.as_bytes(), Compression::best()));
        let zlib = all(ZlibEncoder::new(plain.as_bytes(), Compression::best()));
        let bare = all(DeflateEncoder::new(plain.as_bytes(), Compression::best()));
        let twice = all(GzEncoder::new(&gzip[..], Compression::best()));
        for (encoding, packed) in [("gzip", &gzip), ("X-GZip", &gzip), ("deflate", &zlib), ("deflate", &bare), ("gzip, gzip", &twice)] {
            assert_eq!(unpack(encoding, packed, 600), Ok(plain.clone().into()), "{encoding}");
            assert_eq!(unpack(encoding, packed, 599), Err(Unpacked::TooLarge), "{encoding}");
        }
        for nothing in ["identity", "", "UTF-8", "utf8", "iso-8859-1, identity"] {
            assert_eq!(unpack(nothing, &Bytes::from_static(b"x"), 0), Ok(Bytes::from_static(b"x")), "{nothing}");
        }
        assert_eq!(unpack("utf-8, gzip", &gzip, 600), Ok(plain.clone().into()));
        assert_eq!(
            unpack("gzip", &gzip.slice(..20), 600),
            Err(Unpacked::Not("The body is declared as gzip, but it cannot be decompressed.".into()))
        );
        assert!(matches!(unpack("br", &gzip, 600), Err(Unpacked::Not(_))));
        assert!(matches!(unpack("gzip,gzip,gzip", &gzip, 600), Err(Unpacked::Not(_))));
    }

    #[test]
    fn a_body_may_become_100_times_larger_and_no_more() {
        let packed = |size: u64| all(GzEncoder::new(std::io::repeat(0).take(size), Compression::best()));
        // A megabyte is always accepted, no matter how small its compressed size is.
        assert!(unpack("gzip", &packed(ALWAYS as u64), 100 << 20).is_ok());
        let why = "The body is compressed to less than 1/100 of its size; send it uncompressed.";
        assert_eq!(unpack("gzip", &packed(ALWAYS as u64 + 1), 100 << 20), Err(Unpacked::Not(why.into())));
        assert_eq!(read(std::io::repeat(0).take(500), 1 << 20, 500, "gzip").map(|b| b.len()), Ok(500));
        assert!(read(std::io::repeat(0).take(501), 1 << 20, 500, "gzip").is_err());
        assert_eq!(most_unpacked(30_000), 3_000_000);
    }

    #[test]
    fn a_compression_bomb_is_not_decompressed() {
        let zeros = std::io::repeat(0).take(1 << 30);
        let bomb = all(GzEncoder::new(zeros, Compression::fast()));
        assert_eq!(unpack("gzip", &bomb, 1 << 20), Err(Unpacked::TooLarge));
    }
}
