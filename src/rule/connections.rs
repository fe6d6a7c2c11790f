//! Reads `connections:`, and checks that the ones that steps use exist, in whatever file they are.

use std::collections::BTreeMap;

use url::Url;

use super::Rule;
use super::accounts::{read_aws, read_oauth2};
use crate::action::connections::{Connection, Role, Security, Smtp, WAYS, Way};
use crate::action::contract::ConnectionUse;
use crate::expr::names::{Names, Resolver, is_stand_in};
use crate::text::nearest::nearest;
use crate::text::word::{Shape, Word};
use crate::verify::outgoing::read_signs;
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
    Word { name: "oauth2", shape: Shape::Of("oauth2"), does: "an account that calls log in to with a token (OAuth 2)" },
    Word { name: "aws", shape: Shape::Of("aws"), does: "an access key that signs calls to AWS" },
    Word { name: "signs", shape: Shape::Of("signs"), does: "signs calls, so that the other app knows who sent them" },
];

/// A connection of some file.
pub struct ReadConnection<'a> {
    /// What it is, if that is clear.
    way: Option<Way>,
    /// Nothing if it could not be read.
    pub connection: Option<Connection>,
    item: Item<'a>,
}

/// The connections that rules use, each with whether any of these rules is enabled.
pub fn used<'r>(rules: impl Iterator<Item = &'r Rule>) -> BTreeMap<String, bool> {
    let mut used = BTreeMap::new();
    for rule in rules {
        let of_rule = rule.steps.iter().filter_map(|step| step.action.as_ref()?.uses());
        for (name, _) in of_rule.flat_map(|used| used.names) {
            *used.entry(name.to_owned()).or_default() |= rule.enabled;
        }
    }
    used
}

/// Reads the connections of one file; those of other files are in `known`, with where they are.
pub fn read<'a>(item: &Item<'a>, lookup: &Resolver, used: &BTreeMap<String, bool>, known: &mut BTreeMap<String, ReadConnection<'a>>) {
    for (name, entry) in item.entries("`connections:`").unwrap_or_default() {
        if let Some(ReadConnection { item: first, .. }) = known.get(&name) {
            let line = first.line_of(&first.path).map_or(String::new(), |line| format!(", line {line}"));
            entry
                .problem(format!("two connections have the name `{name}`"))
                .at_key()
                .label(format!("the other one is in {}{line}; rename one of them", first.source().name))
                .add();
            continue;
        }
        let way = WAYS.into_iter().find(|way| entry.node.has(way.key));
        let mut names = Names::new(lookup);
        names.disabled = used.get(&name) == Some(&false);
        let connection = one(&entry, way, &names);
        known.insert(name, ReadConnection { way, connection, item: entry });
    }
}

fn one(item: &Item, way: Option<Way>, known: &Names) -> Option<Connection> {
    if let Node::Text(_) = item.node {
        item.problem("a connection says what it is").label("write for example { smtp: smtps://mail.example.com, … }").add();
        return None;
    }
    let mut fields = item.fields("a connection")?;
    let others = WAYS.into_iter().filter(|other| Some(*other) != way);
    if let Some((first, second)) = way.zip(others.clone().find(|other| fields.has(other.key))) {
        let draft = fields.key(second.key).problem(format!("`{}:` and `{}:` are two connections", first.key, second.key));
        draft.label("write each under a name of its own").add();
        return None;
    }
    let own = way.and_then(|way| fields.may(way.key));
    let connection = match (way.map(|way| way.key), &own) {
        (Some("smtp"), Some(smtp)) => read_smtp(smtp, &mut fields, known).map(Connection::Smtp),
        (Some("oauth2"), Some(oauth2)) => read_oauth2(oauth2, known).map(|oauth2| Connection::OAuth2(Box::new(oauth2))),
        (Some("aws"), Some(aws)) => read_aws(aws, known).map(Connection::Aws),
        (Some("signs"), Some(signs)) => read_signs(signs, known).map(Connection::Signs),
        _ => {
            let is_clear = way.is_some() || fields.left().any(|key| !CONNECTION.iter().any(|word| word.name == key));
            CONNECTION.iter().for_each(|word| drop(fields.may(word.name)));
            if !is_clear {
                let ways: Vec<String> = WAYS.iter().map(|way| format!("`{}:`", way.key)).collect();
                let draft = item.problem("it is not said what this connection is").at_key();
                draft.label(format!("write one of these below it: {}", ways.join(", "))).add();
            }
            None
        }
    };
    fields.done(&[
        ("host", "smtp"),
        ("server", "smtp"),
        ("url", "smtp"),
        ("username", "user"),
        ("pass", "password"),
        ("sender", "from"),
        ("oauth", "oauth2"),
        ("token_url", "write it under `oauth2:`"),
        ("client_id", "write it under `oauth2:`"),
        ("sigv4", "aws"),
        ("access_key_id", "write it under `aws:`"),
        ("sign", "signs"),
        ("hmac", "signs"),
        ("signature", "signs"),
        ("verify", "signs"),
        ("standard_webhooks", "write it under `signs:`"),
        ("custom", "write it under `signs:`"),
        ("bearer", "write `auth: { bearer: … }` in the step"),
        ("basic", "write `auth: { basic: … }` in the step"),
    ]);
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

/// Reports the steps that use a connection that does not exist, or that they cannot use.
pub fn look<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Item<'r>)>, known: &BTreeMap<String, ReadConnection<'_>>) {
    for (rule, item) in rules {
        for used in rule.steps.iter().filter_map(|step| step.action.as_ref()?.uses()) {
            let all_fit = used.names.iter().fold(true, |fit, (name, path)| exists(name, &item.at(path), &used, known) && fit);
            if all_fit {
                fit_together(item, &used, known);
            }
        }
    }
}

/// The kinds of connections that a step can use.
fn ways(used: &ConnectionUse) -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(|way| used.takes.contains(&way.role))
}

/// Whether there is a connection of this name that the step can use; what is wrong is reported.
fn exists(name: &str, item: &Item, used: &ConnectionUse, known: &BTreeMap<String, ReadConnection>) -> bool {
    let fits = |connection: &ReadConnection| connection.way.is_none_or(|way| used.takes.contains(&way.role));
    let fitting: Vec<&str> = known.iter().filter(|(_, connection)| fits(connection)).map(|(name, _)| name.as_str()).collect();
    let keys = ways(used).map(|way| format!("`{}:`", way.key)).collect::<Vec<_>>().join(", ");
    let Some(found) = known.get(name) else {
        let draft = item.problem(format!("there is no connection `{name}`")).together();
        let draft = match nearest(name, fitting.iter().copied()) {
            Some(near) => draft.meant(near),
            None => draft,
        };
        let first = ways(used).next().map_or("smtp", |way| way.key);
        match fitting.as_slice() {
            [] => draft.label(format!("write `connections:` in a rule file, and below it {name}: {{ {first}: … }}")).add(),
            names => draft.label("write the name of a connection").note(format!("connections: {}", names.join(", "))).add(),
        }
        return false;
    };
    let Some(way) = found.way.filter(|_| !fits(found)) else { return true };
    let draft = item.problem(format!("`{name}` is a connection for {}, which `{}` cannot use", way.name, used.verb)).together();
    let draft = match fitting.as_slice() {
        [only] => draft.meant(only),
        _ => draft,
    };
    let serves = match way.role {
        Role::SendsMail => "`email`",
        Role::LogsIn | Role::Signs => "calls: `get`, `post`, `put`, `patch`, `delete`",
    };
    draft.label(format!("write the name of a connection with {keys}")).note(format!("`{name}` is used by {serves}")).add();
    false
}

/// Reports connections that do the same for one call.
fn fit_together(item: &Item, used: &ConnectionUse, known: &BTreeMap<String, ReadConnection>) {
    let of = |role: Role| {
        let is_it = move |name: &str| known.get(name).and_then(|connection| connection.way).is_some_and(|way| way.role == role);
        used.names.iter().filter(move |(name, _)| is_it(name))
    };
    for (role, both) in [(Role::LogsIn, "both log in"), (Role::Signs, "both sign")] {
        if let [(first, _), (second, path), ..] = of(role).collect::<Vec<_>>().as_slice() {
            let draft = item.at(path).problem(format!("`{first}` and `{second}` {both}, and a call has room for one")).together();
            draft.label("remove one of them").add();
        }
    }
    if let (Some((login, _)), Some((own, path))) = (of(Role::LogsIn).next(), used.own_login) {
        let draft = item.at(path).problem(format!("{own} and the connection `{login}` both log in")).together();
        draft.label("remove one of them").add();
    }
    let signs = |connection: &ReadConnection| connection.way.is_some_and(|way| matches!(way.key, "aws" | "signs"));
    let signer = used.names.iter().find(|(name, _)| known.get(*name).is_some_and(signs));
    if let (Some((signer, _)), Some(path)) = (signer, used.sends_files) {
        let draft = item.at(path).problem(format!("`{signer}` signs what is sent, and a form with files cannot be signed")).together();
        draft.label("send the file in another way, such as `text:` or `json:` with its content").add();
    }
}
