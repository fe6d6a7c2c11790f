//! How many rules and addresses there may be in all files together, so that checking them takes a bounded time.

use crate::route::Route;
use crate::yaml::fields::Item;

/// The maximum number of rules.
const MOST_RULES: usize = 20_000;
/// The maximum number of addresses, under `when:` and under `webhooks:`.
const MOST_ADDRESSES: usize = 20_000;
/// How many of them may have placeholders: each of these is compared with all others.
const MOST_PLACEHOLDERS: usize = 1_000;

/// What was counted so far.
#[derive(Default)]
pub struct Bounds {
    rules: usize,
    addresses: usize,
    with_placeholders: usize,
    pub exceeded: bool,
}

impl Bounds {
    /// Counts a rule. Reports the first one above the limit.
    pub fn allows_rule(&mut self, item: &Item) -> bool {
        self.rules += 1;
        self.check(item, self.rules, MOST_RULES, "there are more than 20,000 rules in all files", "remove rules that you no longer need")
    }

    /// Counts an address. Reports the first one above a limit.
    pub fn allows_address(&mut self, route: &Route, item: &Item) -> bool {
        self.addresses += 1;
        self.with_placeholders += usize::from(route.placeholders().next().is_some());
        let fix = "use one address with a placeholder, such as \"/orders/{shop}\", instead of many";
        let fewer = "write the addresses out, or use fewer different ones";
        self.check(item, self.addresses, MOST_ADDRESSES, "there are more than 20,000 addresses in all files", fix)
            && self.check(item, self.with_placeholders, MOST_PLACEHOLDERS, "there are more than 1,000 addresses with placeholders", fewer)
    }

    fn check(&mut self, item: &Item, count: usize, most: usize, message: &str, label: &str) -> bool {
        if count == most + 1 {
            item.problem(message).at_key().label(label).add();
        }
        self.exceeded |= count > most;
        count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Node;
    use crate::yaml::reader::{Effort, Reader};
    use crate::yaml::source::Source;

    #[test]
    fn as_many_as_the_limit_are_allowed_and_the_first_one_above_is_reported_once() {
        let source = Source::stored("a.yaml", "a: 1\n".into());
        let (effort, node) = (Effort::default(), Node::Null);
        let reader = Reader::new(&source, &effort);
        let item = reader.top(&node);
        let (plain, open) = (Route::read("/a").unwrap(), Route::read("/{a}").unwrap());
        let mut bounds = Bounds::default();
        assert!((0..MOST_RULES).all(|_| bounds.allows_rule(&item)));
        assert!((0..MOST_PLACEHOLDERS).all(|_| bounds.allows_address(&open, &item)));
        assert!((MOST_PLACEHOLDERS..MOST_ADDRESSES).all(|_| bounds.allows_address(&plain, &item)));
        assert!(!bounds.exceeded);
        for _ in 0..3 {
            assert!(!bounds.allows_rule(&item) && !bounds.allows_address(&plain, &item));
        }
        assert!(bounds.exceeded);
        let mut more = Bounds::default();
        assert!((0..MOST_PLACEHOLDERS).all(|_| more.allows_address(&open, &item)) && !more.allows_address(&open, &item));
        let said: Vec<String> = reader.problems().into_iter().map(|p| p.message).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[2].contains("1,000 addresses with placeholders"), "{said:?}");
    }
}
