//! Calls that reached no rule, because none uses their address: which address was probably meant.

use serde::Serialize;

use crate::engine::intake::unknown_addresses::UnknownAddress;
use crate::rule::ruleset::Ruleset;
use crate::text::nearest::nearest;

/// An address that was called lately and that no rule uses.
#[derive(Debug, PartialEq, Serialize)]
pub struct LostCalls {
    #[serde(flatten)]
    pub unknown: UnknownAddress,
    /// An address of a rule that differs little.
    pub meant: Option<String>,
}

/// Those that are still unknown, those that are like a known one first.
pub fn lost_calls(unknown: Vec<UnknownAddress>, ruleset: &Ruleset) -> Vec<LostCalls> {
    let known: Vec<&str> = ruleset.addresses.iter().filter(|a| a.route.placeholders().next().is_none()).map(|a| a.route.text()).collect();
    let lost = |unknown: UnknownAddress| {
        let meant = nearest(&unknown.address, known.iter().copied()).map(str::to_owned);
        LostCalls { unknown, meant }
    };
    let still = unknown.into_iter().filter(|one| ruleset.address_number(&one.address).is_none());
    let mut all: Vec<LostCalls> = still.map(lost).collect();
    all.sort_by_key(|one| one.meant.is_none());
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::expr::names::Resolver;
    use crate::rule::load::load;
    use crate::yaml::source::Source;

    #[test]
    fn a_similar_address_is_suggested_and_what_has_a_rule_by_now_is_left_out() {
        let text = "webhooks:\n  /orders: { verify: none }\n  /shop/{id}: { verify: none }\nrules:\n  A:\n    when: { webhook: /orders }\n    then: [ { log: x } ]\n  B:\n    when: { webhook: \"/shop/{id}\" }\n    then: [ { log: x } ]\n";
        let source = Source::stored("a.yaml", text.into());
        let ruleset = load(vec![source], Resolver::new(&|_| None, &|_| None, &|_| None), false).ruleset.unwrap();
        let unknown =
            |address: &str| UnknownAddress { address: address.into(), method: "POST".into(), calls: 1, last: Timestamp::UNIX_EPOCH };
        let found = lost_calls(["/wp-login.php", "/ordes", "/shop/7", "/Orders"].map(unknown).into(), &ruleset);
        let found: Vec<_> = found.iter().map(|one| (one.unknown.address.as_str(), one.meant.as_deref())).collect();
        assert_eq!(found, [("/ordes", Some("/orders")), ("/Orders", Some("/orders")), ("/wp-login.php", None)]);
    }
}
