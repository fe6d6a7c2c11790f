//! What the other rule files say, so that a draft fits next to them: the address as they write it, whether `webhooks:` says
//! who may call it, and which names are taken. A file with errors is read as far as that is possible.

use std::collections::HashSet;

use crate::route::Route;
use crate::yaml::Node;
use crate::yaml::source::Source;

/// How many rules can be called the same but for a number.
const MOST_ALIKE: usize = 1_000;

/// The addresses and names of rule files.
#[derive(Default)]
pub struct Neighbours {
    /// Those with an entry under `webhooks:`.
    described: Vec<Route>,
    /// Those that rules use.
    used: Vec<Route>,
    names: HashSet<String>,
}

impl Neighbours {
    pub fn of<'s>(sources: impl IntoIterator<Item = &'s Source>) -> Self {
        let mut all = Self::default();
        for node in sources.into_iter().filter_map(|source| source.read().ok()) {
            all.described.extend(entries(&node, "webhooks").iter().filter_map(|(path, _)| Route::read(path).ok()));
            for (name, rule) in entries(&node, "rules") {
                all.names.insert(name.clone());
                let starts = match get(rule, "when") {
                    Some(Node::List(starts)) => starts.as_slice(),
                    Some(start) => std::slice::from_ref(start),
                    None => &[],
                };
                let paths = starts.iter().filter_map(|start| get(start, "webhook"));
                all.used.extend(paths.filter_map(|path| if let Node::Text(path) = path { Route::read(path).ok() } else { None }));
            }
        }
        all
    }

    /// The address that this path belongs to, as the other files write it, and whether it has an entry under `webhooks:`.
    pub(super) fn address(&self, path: &str) -> Option<(&Route, bool)> {
        let fits = |route: &&Route| route.fit(path).is_some();
        let described = self.described.iter().find(fits).map(|route| (route, true));
        described.or_else(|| self.used.iter().find(fits).map(|route| (route, false)))
    }

    /// A name for a rule that no other one has.
    pub(super) fn free_name(&self, name: &str) -> String {
        let numbered = (2..MOST_ALIKE).map(|n| format!("{name} ({n})"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.names.contains(name)).unwrap_or_else(|| name.to_owned())
    }
}

/// The value of a key, if there is one.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Node::Map(all) = node else { return None };
    all.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The names and values below a key.
fn entries<'n>(node: &'n Node, key: &str) -> &'n [(String, Node)] {
    match get(node, key) {
        Some(Node::Map(all)) => all,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read_from_files_that_have_errors() {
        let texts = [
            "webhooks:\n  /orders: { verify: none }\n  orders: {}\nrules:\n  A:\n    when: [{ webhook: /shop/{shop} }, { webhook: /b }, 1]\n  B: 2\n  A (2): {}\n",
            "webhooks: [\n",
            "rules:\n  C: { when: { webhook: \"/{*rest}\" }, wrong: 1 }\n",
        ];
        let texts = texts.map(|text| text.replace("/shop/{shop}", "\"/shop/{shop}\""));
        let sources = texts.map(|text| Source::stored("a.yaml", text));
        let all = Neighbours::of(&sources);
        let address = |path| all.address(path).map(|(route, is_described)| (route.text(), is_described));
        assert_eq!(address("/orders"), Some(("/orders", true)));
        assert_eq!(address("/shop/berlin"), Some(("/shop/{shop}", false)));
        assert_eq!(address("/x/y"), Some(("/{*rest}", false)));
        assert_eq!(Neighbours::default().address("/orders"), None);
        assert_eq!([all.free_name("A"), all.free_name("C"), all.free_name("D")], ["A (3)", "C (2)", "D"]);
    }
}
