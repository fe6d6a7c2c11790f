//! The styles, scripts and icon of the console, compiled in. Their names contain a hash of their content, so that browsers may
//! keep them forever.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use warp::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use warp::http::{Response, StatusCode};

use super::answer::{Body, bytes, set};
use crate::model::hash::hash;

struct Asset {
    /// `/assets/style-0123abcd.css`
    path: String,
    kind: &'static str,
    packed: Bytes,
}

const FILES: [(&str, &str, &str, &[u8]); 4] = [
    ("style", "css", "text/css; charset=utf-8", include_bytes!("assets/style.css")),
    ("console", "js", "text/javascript; charset=utf-8", include_bytes!("assets/console.js")),
    // Made by tools/editor from the packages that its first lines name; only the page that edits rule files loads it.
    ("editor", "js", "text/javascript; charset=utf-8", include_bytes!("assets/editor.js")),
    ("icon", "svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
];

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |(name, ending, kind, content): (&str, &str, &'static str, &[u8])| {
        let short: String = hash(content).chars().take(12).collect();
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        // Writing into memory does not fail.
        let _ = packer.write_all(content);
        Asset { path: format!("/assets/{name}-{short}.{ending}"), kind, packed: packer.finish().unwrap_or_default().into() }
    };
    FILES.into_iter().map(asset).collect()
});

/// Where an asset is, by its name without the hash: `style.css`.
pub fn path(file: &str) -> &'static str {
    let at = FILES.iter().position(|(name, ending, ..)| file.strip_prefix(name).and_then(|f| f.strip_prefix('.')) == Some(*ending));
    at.and_then(|at| ASSETS.get(at)).map_or("", |asset| &asset.path)
}

/// The asset at a path. Anyone may have it: it is the same everywhere.
pub fn find(path: &str) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut response = bytes(StatusCode::OK, asset.kind, asset.packed.clone());
    set(&mut response, CONTENT_ENCODING, "gzip");
    set(&mut response, CACHE_CONTROL, "public, max-age=31536000, immutable");
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_is_found_by_the_path_that_pages_use() {
        for (name, ending, ..) in FILES {
            let path = path(&format!("{name}.{ending}"));
            assert!(path.len() > 20 && find(path).is_some(), "{name}: {path}");
        }
        assert!(find("/assets/style.css").is_none() && path("other.css").is_empty());
    }
}
