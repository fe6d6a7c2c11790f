//! What somebody asks of the console: the path, the query, the fields of a form, and who it is.

use std::sync::Arc;

use super::Console;
use super::fault::Fault;
use super::session::Visitor;
use crate::route::decode;
use crate::text::percent::QUERY;

/// The largest form: a rule file may have 1 MB, and percent-encoding can make three bytes of one.
pub const MAX_FORM: usize = 4 << 20;
/// The largest form of somebody who is not known yet.
pub const MAX_LOGIN: usize = 4 << 10;

/// One request, from somebody who may make it.
pub struct Ask {
    pub console: Arc<Console>,
    /// The path below the console's own, in parts, decoded.
    pub path: Vec<String>,
    /// The query as it was sent.
    pub query: String,
    pub form: Vec<(String, String)>,
    pub visitor: Visitor,
}

impl Ask {
    /// The parts of a path.
    pub fn parts(path: &str) -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
    }

    /// A value of the query; none if it is empty.
    pub fn query(&self, name: &str) -> Option<String> {
        value(form_urlencoded::parse(self.query.as_bytes()), name)
    }

    /// All values of a name in the query, in their order.
    pub fn queries(&self, name: &str) -> Vec<String> {
        form_urlencoded::parse(self.query.as_bytes()).filter(|(n, _)| n == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// A field of the form; none if it is empty.
    pub fn field(&self, name: &str) -> Option<String> {
        value(self.form.iter().map(|(n, v)| (n.into(), v.into())), name)
    }

    /// A field that must be there.
    pub fn must(&self, name: &str) -> Result<String, Fault> {
        self.field(name).ok_or_else(|| Fault::Bad(format!("The field “{name}” is missing.")))
    }

    /// The address of a page, as links need it.
    pub fn at(&self, path: &str) -> String {
        self.console.at(path)
    }

    /// Whether this visitor may change something.
    pub fn may_change(&self) -> bool {
        self.visitor.may_change && !self.console.settings.is_read_only
    }

    /// Whether this visitor may write rule files.
    pub fn may_edit(&self) -> bool {
        self.may_change() && self.console.settings.may_edit
    }
}

fn value<'a>(all: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>, name: &str) -> Option<String> {
    let mut all = all;
    all.find(|(n, _)| n == name).map(|(_, v)| v.into_owned()).filter(|v| !v.is_empty())
}

/// A path of names as part of an address: its slashes stay.
pub fn escaped_path(path: &str) -> String {
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// The address of something with this name in a path or a query: percent-encoded.
pub fn escaped(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, QUERY).to_string()
}
