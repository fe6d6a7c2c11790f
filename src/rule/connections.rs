//! Reads `connections:`, and checks that the ones that steps use exist, in whatever file they are.

use std::collections::BTreeMap;

use url::Url;

use super::Rule;
use crate::action::connections::{Connection, Security, Smtp};
use crate::expr::names::{Names, Resolver, is_stand_in};
use crate::text::nearest::nearest;
use crate::text::word::{Shape, Word};
use crate::verify::secret::{read_secret, read_text};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};

/// The keys of a connection.
pub const CONNECTION: &[Word] = &[
    Word { name: "smtp", shape: Shape::Spelled(r"^smtps?://"), does: "a server for e-mail, such as smtps://mail.example.com" },
    Word { name: "user", shape: Shape::Text, does: "the user name" },
    Word { name: "password", shape: Shape::Text, does: "the password, as \"{{ secret.NAME }}\"" },
    Word { name: "from", shape: Shape::Text, does: "who sends, such as Shop <shop@example.com>" },
    Word { name: "tls", shape: Shape::One(&["none"]), does: "`none`: without encryption, for a server in your own network" },
];

/// Reads the connections of one file; those of other files are in `known`, with where they are.
pub fn read<'a>(item: &Item<'a>, lookup: &Resolver, known: &mut BTreeMap<String, (Option<Connection>, Item<'a>)>) {
    for (name, entry) in item.entries("`connections:`").unwrap_or_default() {
        if let Some((_, first)) = known.get(&name) {
            let line = first.line_of(&first.path).map_or(String::new(), |line| format!(", line {line}"));
            entry
                .problem(format!("two connections have the name `{name}`"))
                .at_key()
                .label(format!("the other one is in {}{line}; rename one of them", first.source().name))
                .add();
            continue;
        }
        let read = one(&entry, lookup);
        known.insert(name, (read, entry));
    }
}

fn one(item: &Item, lookup: &Resolver) -> Option<Connection> {
    if let Node::Text(_) = item.node {
        item.problem("a connection says what it is").label("write for example { smtp: smtps://mail.example.com, … }").add();
        return None;
    }
    let known = Names::new(lookup);
    let mut fields = item.fields("a connection")?;
    let connection = match fields.may("smtp") {
        Some(smtp) => read_smtp(&smtp, &mut fields, &known).map(Connection::Smtp),
        None => {
            CONNECTION.iter().for_each(|word| drop(fields.may(word.name)));
            if !fields.has("smtp") && !fields.left().any(|_| true) {
                item.problem("it is not said what this connection is").at_key().label("write `smtp:` with the server").add();
            }
            None
        }
    };
    fields.done(
        &[("host", "smtp"), ("server", "smtp"), ("url", "smtp"), ("username", "user"), ("pass", "password"), ("sender", "from")],
        &[],
    );
    connection
}

fn read_smtp(item: &Item, fields: &mut Fields, known: &Names) -> Option<Smtp> {
    let address = read_text(item, known);
    let tls = fields.may("tls").map(|item| (item.text(), item));
    let from = fields.must("from");
    let from_text = from.as_ref().and_then(|from| read_text(from, known));
    let user = fields.may("user").map(|item| read_text(&item, known));
    let password = fields.may("password").map(|item| read_secret(&item, known));
    let is_plain = match &tls {
        None => false,
        Some((Some(word), _)) if word == "none" => true,
        Some((_, item)) => {
            item.problem("`tls:` can only be `none`; without it, connections are always encrypted").label("remove it").add();
            return None;
        }
    };
    if fields.has("user") != fields.has("password") {
        let (has, lacks) = if fields.has("user") { ("user", "password") } else { ("password", "user") };
        fields.key(has).problem(format!("`{has}:` needs `{lacks}:`, too")).label(format!("write `{lacks}:` below it")).add();
        return None;
    }
    if let (true, true, Some((_, tls))) = (is_plain, fields.has("password"), &tls) {
        tls.problem("the password would be sent without encryption").at_key().label("remove it, or remove `user:` and `password:`").add();
        return None;
    }
    let (address, from_text) = (address?, from_text?);
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user?, password?)),
        _ => None,
    };
    let (address, sender) = (address.reveal(), from_text.reveal());
    if !is_stand_in(sender)
        && let Some(from) = &from
        && !crate::action::mailbox::is_one(sender)
    {
        from.problem(format!("`{sender}` is not an e-mail address")).label("write for example Shop <shop@example.com>").add();
        return None;
    }
    let url =
        Url::parse(address).ok().filter(|url| matches!(url.scheme(), "smtp" | "smtps") && url.host_str().is_some_and(|h| !h.is_empty()));
    let Some(url) = url else {
        if !is_stand_in(address) {
            let draft = item.problem("the address of a server for e-mail begins with smtps:// or smtp://");
            let host = address.rsplit("://").next().unwrap_or_default();
            draft.label("write for example smtps://mail.example.com").write(&format!("smtps://{host}")).add();
        }
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        item.problem("an address with a user or a password ends up in logs").label("write `user:` and `password:` below it").add();
        return None;
    }
    if url.path().len() > 1 || url.query().is_some() || url.fragment().is_some() {
        item.problem("the address of a server for e-mail ends after the server")
            .label("write for example smtps://mail.example.com:465")
            .add();
        return None;
    }
    let security = match (url.scheme(), is_plain) {
        ("smtps", true) => {
            item.problem("`smtps://` means an encrypted connection, and `tls: none` one that is not").label("write smtp://").add();
            return None;
        }
        (_, true) => Security::None,
        ("smtps", false) => Security::Tls,
        _ => Security::StartTls,
    };
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let usual = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::None => 25,
    };
    let at = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    if let Some(why) = known.lookup.refuses(&format!("http://{at}/")) {
        item.warning(why).add();
    }
    Some(Smtp { host, port: url.port().unwrap_or(usual), security, login, from: sender.to_owned() })
}

/// Reports the steps that use a connection that does not exist.
pub fn look<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Item<'r>)>, known: &BTreeMap<String, (Option<Connection>, Item<'_>)>) {
    for (rule, item) in rules {
        for step in &rule.steps {
            let Some((name, path)) = step.action.as_ref().and_then(|action| action.connection()) else { continue };
            if known.contains_key(name) {
                continue;
            }
            let draft = item.at(path).problem(format!("there is no connection `{name}`")).together();
            let draft = match nearest(name, known.keys().map(String::as_str)) {
                Some(near) => draft.meant(near),
                None => draft,
            };
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            match names.as_slice() {
                [] => draft.label(format!("write `connections:` in a rule file, and below it {name}: {{ smtp: … }}")).add(),
                names => draft.label("write the name of a connection").note(format!("connections: {}", names.join(", "))).add(),
            }
        }
    }
}
