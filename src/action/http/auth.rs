//! `auth:` of a call: the credentials for the other app.

use crate::expr::doubt;
use crate::expr::names::Names;
use crate::expr::template::{Destination, Template};
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

/// Compiled credentials.
pub(super) enum Auth {
    None,
    Basic(Template, Template),
    Bearer(Template),
}

pub(super) fn read_auth(item: &Item, known: &Names) -> Option<Auth> {
    if let Node::Text(text) = item.node {
        let draft = item.problem("`auth:` takes either `basic` or `bearer`").label("write { bearer: \"{{ secret.NAME }}\" }");
        match text.strip_prefix("Bearer ") {
            Some(token) => draft.write(&format!("{{ bearer: {} }}", scalar(token))).add(),
            None => draft.add(),
        }
        return None;
    }
    let mut fields = item.fields("`auth:`")?;
    if ["user", "username", "password"].iter().any(|key| fields.has(key)) && !fields.has("basic") {
        let draft = item.problem("`auth:` takes either `basic` or `bearer`").label("write { basic: { user: …, password: … } }");
        match item.raw() {
            Some(raw) => draft.write(&format!("{{ basic: {} }}", raw.replace("username:", "user:"))).add(),
            None => draft.add(),
        }
        return None;
    }
    let basic = fields.may("basic");
    let bearer = fields.may("bearer");
    let of_connections = |word: &'static str| (word, "write the account under `connections:`, and its name after `using:` in the step");
    let words = [("token", "bearer"), ("api_key", "bearer"), of_connections("oauth2"), of_connections("oauth"), of_connections("aws")];
    let is_unknown = words.iter().any(|(word, _)| item.node.has(word));
    fields.done(&words);
    match (basic, bearer) {
        (Some(basic), None) => read_basic(&basic, known),
        (None, Some(bearer)) => {
            let token = Template::read(&bearer, Destination::Header, known)?;
            if let Some((scheme, rest)) = repeated(token.beginning()) {
                let draft = bearer.problem("`bearer:` adds the word `Bearer` itself, so it would be sent twice");
                let rest = format!("{rest}{}", bearer.text()?.strip_prefix(token.beginning()).unwrap_or(""));
                draft.label(format!("write only what follows `{scheme}`")).write(&scalar(&rest)).add();
                return None;
            }
            doubt::always_secret(&bearer, token.fixed());
            Some(Auth::Bearer(token))
        }
        _ => {
            if !is_unknown && item.node.has("bearer") == item.node.has("basic") {
                item.problem("`auth:` takes either `basic` or `bearer`").label("write { bearer: \"{{ secret.NAME }}\" }").add();
            }
            None
        }
    }
}

fn read_basic(item: &Item, known: &Names) -> Option<Auth> {
    if let Node::Text(text) = item.node {
        let draft = item.problem("`basic:` takes a user and a password").label("write { user: …, password: \"{{ secret.NAME }}\" }");
        match text.split_once(':') {
            Some((user, password)) => {
                draft.write(&format!("{{ user: {}, password: {} }}", scalar(user.trim()), scalar(password.trim()))).add()
            }
            None => draft.add(),
        }
        return None;
    }
    let mut fields = item.fields("`basic:`")?;
    let user = fields.must("user").and_then(|i| Template::read(&i, Destination::Header, known));
    let password = fields.must("password").and_then(|i| {
        let password = Template::read(&i, Destination::Header, known)?;
        doubt::always_secret(&i, password.fixed());
        Some(password)
    });
    fields.done(&[("username", "user"), ("name", "user"), ("pass", "password")]);
    Some(Auth::Basic(user?, password?))
}

/// A scheme that is written although it is added, and what follows it.
pub(super) fn repeated(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ')?;
    matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic").then_some((word, rest.trim_start()))
}
