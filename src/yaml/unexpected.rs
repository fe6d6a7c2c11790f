//! Another kind of value than the one that belongs somewhere: what the author probably meant.

use super::Node;
use super::fields::Item;
use super::layout::{Rewritten, indent};
use super::place;
use crate::text::span;

impl Item<'_> {
    /// Reports that another kind of value belongs here; common mistakes have messages of their own.
    pub fn expected(&self, what: &str) {
        match self.node {
            Node::Empty => self.nothing(),
            Node::Braces => {
                let draft = self.problem("a value that begins with `{{` must be in quotes").label("put it in quotes: \"{{ … }}\"");
                match self.raw() {
                    Some(raw) => draft.write(&format!("\"{}\"", raw.replace('"', "'"))).add(),
                    None => draft.add(),
                }
            }
            Node::Tagged => {
                let draft = self.problem("a `!` at the beginning of a value has a special meaning in YAML");
                let draft = draft.label("put the value in quotes; a secret is written \"{{ secret.NAME }}\"");
                let raw = self.line_after().unwrap_or_default();
                let lower = raw.to_lowercase();
                let root = ["!secret", "!vault", "!env"].iter().find(|tag| lower.starts_with(**tag));
                let draft = match root {
                    Some(tag) => {
                        let name = raw.rsplit([' ', ':']).next().unwrap_or("");
                        let name: String = name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
                        let root = if *tag == "!env" { "env" } else { "secret" };
                        let value = format!("\"{{{{ {root}.{} }}}}\"", name.to_uppercase());
                        draft.change(format!("write {value}"), self.span_after(), value)
                    }
                    None => {
                        let opposite = format!("{{ not: {} }}", raw.trim_start_matches(['!', '=', ' ']));
                        let quoted = place::scalar(raw);
                        let draft = draft.change(format!("write {opposite}"), self.span_after(), opposite);
                        draft.change(format!("write {quoted}"), self.span_after(), quoted)
                    }
                };
                draft.add();
            }
            Node::List(items) if what.contains("text") => {
                let draft = self.problem(format!("{what} is expected here, not a list"));
                let draft = draft.label("write one value here; text that begins with `[` must be in quotes");
                match items.as_slice() {
                    [Node::Text(t)] => draft.note(format!("if you mean the text itself, write \"[{t}]\"")).add(),
                    _ => draft.add(),
                }
            }
            Node::List(items) if what == "a value" && items.len() == 1 => {
                let draft = self.problem("one value is expected here, not a list");
                let inner = self.raw().map(|raw| raw.trim_matches(['[', ']', ' ']).to_owned()).unwrap_or_default();
                draft.label("write the value without [ ]").write(&inner).add();
            }
            Node::Text(t) if t.starts_with("{{") && what.starts_with("true") => {
                self.problem(format!("{what} is expected here; a template cannot decide this")).label("write true or false").add();
            }
            Node::List(items) if what.contains("names and values") => self.listed(items, what.trim_end_matches(" (names and values)")),
            Node::Text(t) if what.ends_with("(names and values)") => {
                let draft = self.problem(format!("{} takes names and values, not text", what.trim_end_matches(" (names and values)")));
                let map = format!("{{ {} }}", t.trim_start_matches('?').replace(" = ", "=").replace('=', ": ").replace('&', ", "));
                let draft = if t.contains('=') { draft.write(&map) } else { draft };
                draft.label("write a name, a colon and a value").add();
            }
            Node::Map(entries) if what.contains("text") && entries.len() == 1 && self.only_value_raw().is_some() => {
                let draft = self.problem(format!("{what} is expected here, not {}", self.node.kind()));
                draft.label("write the text alone").write(self.only_value_raw().unwrap_or_default()).add();
            }
            _ => {
                let draft = self.problem(format!("{what} is expected here, not {}", self.node.kind()));
                match what {
                    "true or false" => draft.label("write true or false").add(),
                    _ if what.contains("number") && !what.contains("list") => draft.label("write for example 5").add(),
                    _ => draft.add(),
                }
            }
        }
    }

    /// Reports a list in place of names and values.
    fn listed(&self, items: &[Node], what: &str) {
        let pair = |node: &Node| {
            let Node::Map(entries) = node else { return None };
            let text = |words: &[&str]| match entries.iter().find(|(key, _)| words.contains(&key.as_str()))? {
                (_, Node::Text(text)) => Some(place::scalar(text)),
                (_, Node::Number(text)) => Some(text.clone()),
                _ => None,
            };
            Some(format!("{}: {}", text(&["name", "key", "header", "title"])?, text(&["value"])?))
        };
        let draft = self.problem(format!("{what} takes names and values, not a list"));
        let is_value = |node: &Node| matches!(node, Node::Text(text) if text.contains("{{") || text.contains('.') && !text.contains(' '));
        let draft = match items {
            [Node::Map(_), ..] => draft.label("write each as `name: value`, without a dash"),
            items if items.iter().any(is_value) => draft.label("write a name and a colon before each value: `name: value`"),
            _ => draft.label("write a colon and a value after each name: `name: value`"),
        };
        let pairs: Option<Vec<String>> = items.iter().map(pair).collect();
        let inside = || -> Option<Vec<&str>> {
            let raw = |item: Self| item.raw()?.strip_prefix('{')?.strip_suffix('}').map(str::trim);
            self.one_or_many().into_iter().map(raw).collect()
        };
        let pairs = pairs.or_else(|| inside().map(|all| all.into_iter().map(str::to_owned).collect()));
        if let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) {
            let ours = format!("{{ {} }}", pairs.join(", "));
            return draft.change(format!("write {ours}"), self.whole_span(), ours).add();
        }
        let dash = self.span_after().filter(|_| self.line_after().is_some_and(|text| text.starts_with("- ")));
        match (items, self.without_dashes(items)) {
            ([_], _) => draft.change("remove this dash", dash.map(|span| span.start..span.start + 2), "").add(),
            (_, Some((span, text))) => draft.change("remove the dash before each of them", Some(span), text).add(),
            _ => draft.add(),
        }
    }

    /// The lines of this list of maps, as one map.
    fn without_dashes(&self, items: &[Node]) -> Rewritten {
        if !items.iter().all(|item| matches!(item, Node::Map(_))) {
            return None;
        }
        let source = self.source();
        let key = self.at(&self.at_its_key()).line()?;
        let (first, last) = (key + 1, source.block_end(key));
        let depth = indent(source.line(first));
        source.rewritten(first, last, |_, line| match indent(line) == depth && line.trim_start().starts_with("- ") {
            // What follows the dash stays where it is.
            true => format!("{}  {}", " ".repeat(depth), span::from(line, depth + 2)),
            false => line.to_owned(),
        })
    }
}
