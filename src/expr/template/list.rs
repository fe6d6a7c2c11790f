//! The list of all helpers, in the order of the docs. Each is in the file of its family, in `super::helpers`.

use std::sync::LazyLock;

use super::helper::Helper;
use super::helpers::{comparisons, dates, encodings, lists, numbers, text};

/// The body that the examples are rendered with.
pub const EXAMPLE_BODY: &str = r#"{"name": " Ada ", "nick": null, "zip": 7, "tags": ["a", "b"], "amount": 1250, "price": 19.9, "prices": [9.5, 20, 3],
    "paid": "2026-03-14T09:26:53Z", "day": "2026-03-31", "lines": [{"sku": "A1"}, {"sku": "B2"}]}"#;

/// All helpers.
pub static HELPERS: LazyLock<Vec<&'static Helper>> = LazyLock::new(|| {
    let families = [text::HELPERS, lists::HELPERS, numbers::HELPERS, dates::HELPERS, encodings::HELPERS, comparisons::HELPERS];
    families.into_iter().flatten().collect()
});
