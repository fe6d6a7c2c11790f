//! Checks what a rule says about who sent an event, when all files are read: the names of senders, and fields that are redacted
//! because they prove who it is. The names come from `verify:`.

use std::sync::Arc;

use super::Rule;
use super::address::Address;
use crate::expr::field::Root;
use crate::expr::field_use::FieldUses;
use crate::text::nearest::nearest;
use crate::yaml::fields::Item;

/// Reports what can never be as the rule says, at these addresses.
pub fn look(rule: &Rule, uses: &FieldUses, item: &Item, addresses: &[&Address]) {
    let mut names: Vec<Arc<str>> = Vec::new();
    for name in addresses.iter().flat_map(|address| address.guard.senders()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let known = names.join(", ");
    let routes = addresses.iter().map(|address| address.route.text()).collect::<Vec<_>>().join(" and ");
    for used in &uses.fields {
        let at = item.at(&used.path);
        let point = |message: String| match &used.within {
            Some(letters) => at.problem(message).within(letters),
            None => at.problem(message),
        };
        let text = used.field.text();
        if let Some(address) = addresses.iter().find(|address| address.guard.redacts(&used.field)) {
            let draft = point(format!("{text} is masked, because it proves who calls {}: it is always `***` here", address.route.text()));
            let draft = match names.as_slice() {
                [] | [_] if address.guard.has_several_ways() => {
                    draft.label("give each entry of `verify:` a `name:`, and compare `sender` with it")
                }
                [] | [_] => draft.label("remove it: `verify:` has already checked it"),
                [first, ..] => draft.label(format!("write `sender`, such as `sender: {first}`")),
            };
            draft.note(format!("senders: {known}; `name:` in an entry of `verify:` gives it another name")).add();
        } else if used.field.root == Root::Sender && names.is_empty() && !addresses.is_empty() {
            point(format!("nobody knows who calls {routes}, because it is open, so there is no `sender`"))
                .label(format!("add `verify:` to {routes} under `webhooks:`"))
                .add();
        }
    }
    let expected = uses.senders.iter().map(|one| (&one.name, &one.path, one.ignore_case));
    let sent = rule.tests.iter().filter_map(|test| test.send.sender.as_ref()).map(|(name, path)| (name, path, false));
    for (name, path, ignore_case) in expected.chain(sent).filter(|_| !names.is_empty()) {
        let is = |known: &Arc<str>| **known == **name || ignore_case && known.to_lowercase() == name.to_lowercase();
        if names.iter().any(is) {
            continue;
        }
        let draft = item.at(path).problem(format!("no sender of {routes} is called `{name}`")).within(name);
        let draft = match nearest(name, names.iter().map(|name| &**name)) {
            Some(near) => draft.meant(near).label("write one of the names below"),
            None => draft.label("write one of the names below, or add it as `name:` to an entry of `verify:`"),
        };
        draft.note(format!("senders: {known}")).add();
    }
}
