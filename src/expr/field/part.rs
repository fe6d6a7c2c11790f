//! One step from a value down to a part of it: by name, by index, or to each element of a list. `path` parses these
//! steps, and [`super`] follows them.

use serde_json::Value;

use crate::body::form_names::FormName;

/// A step down that needs no search.
#[derive(Debug, Clone, PartialEq)]
pub enum PathPart {
    Name(String),
    Index(i64),
    /// `[*]` as rule authors mean it: a value that is not a list counts as a list with one element.
    Each,
}

/// The value with a name. A field of a form is also found by the name that its sender used, `a[b][0]` for `a.b[0]`.
pub(super) fn named<'v>(at: &'v Value, name: &str) -> Option<&'v Value> {
    let map = at.as_object()?;
    map.get(name).or_else(|| if name.ends_with(']') { FormName::read(name)?.find(at) } else { None })
}

/// The value at an index of a list; a negative index counts from the end.
pub(super) fn index(at: &Value, i: i64) -> Option<&Value> {
    let list = at.as_array()?;
    let i = if i < 0 { list.len().checked_sub(usize::try_from(i.unsigned_abs()).ok()?)? } else { usize::try_from(i).ok()? };
    list.get(i)
}
