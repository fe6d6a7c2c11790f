//! Reads the connections that log calls in: `oauth2:` and `aws:`.

use url::Url;

use crate::action::connections::{Aws, ClientProof, OAuth2};
use crate::expr::names::{Names, is_stand_in};
use crate::secret::Secret;
use crate::text::word::{Shape, Word};
use crate::verify::secret::{read_secret, read_text};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The keys of `oauth2:`.
pub const OAUTH2: &[Word] = &[
    Word { name: "token_url", shape: Shape::Text, does: "the address that gives out tokens" },
    Word { name: "client_id", shape: Shape::Text, does: "the id of your app" },
    Word { name: "client_secret", shape: Shape::Text, does: "the secret of your app, as \"{{ secret.NAME }}\"" },
    Word { name: "scope", shape: Shape::Each(1, &Shape::Text), does: "what the token is for, as the other app calls it" },
    Word {
        name: "refresh_token",
        shape: Shape::Text,
        does: "the refresh token of somebody who has logged in, as \"{{ secret.NAME }}\"; without it, your app itself logs in (client credentials)",
    },
    Word {
        name: "client_auth",
        shape: Shape::One(&["header", "body"]),
        does: "where the id and the secret are sent; `header` by default, `body` for servers that want them there",
    },
    Word {
        name: "parameters",
        shape: Shape::Map,
        does: "what this server needs in addition, such as { audience: https://api.example.com }",
    },
];

/// The keys of `aws:`.
pub const AWS: &[Word] = &[
    Word { name: "region", shape: Shape::Spelled(NAME), does: "the region, such as eu-central-1" },
    Word { name: "service", shape: Shape::Spelled(NAME), does: "the service, as it is called in addresses: sqs, sns, s3, lambda, events" },
    Word { name: "access_key_id", shape: Shape::Text, does: "the id of the access key" },
    Word { name: "secret_access_key", shape: Shape::Text, does: "the secret access key, as \"{{ secret.NAME }}\"" },
    Word { name: "session_token", shape: Shape::Text, does: "the session token, for an access key that ends" },
];

/// A region, or a service.
const NAME: &str = r"^[a-z0-9-]+$";

/// In place of a key of `oauth2:`.
const OAUTH2_WORDS: [(&str, &str); 20] = [
    ("url", "token_url"),
    ("token_uri", "token_url"),
    ("token_endpoint", "token_url"),
    ("access_token_url", "token_url"),
    ("tokenUrl", "token_url"),
    ("id", "client_id"),
    ("clientId", "client_id"),
    ("secret", "client_secret"),
    ("clientSecret", "client_secret"),
    ("scopes", "scope"),
    ("refreshToken", "refresh_token"),
    ("audience", "write it under `parameters:`: { audience: https://api.example.com }"),
    ("resource", "write it under `parameters:`: { resource: https://api.example.com }"),
    ("tenant", "write it as a part of `token_url:`"),
    ("grant_type", "remove it: with `refresh_token:`, that is used; without it, your app itself logs in (client credentials)"),
    ("username", "logging in with a person's password is not supported; write `refresh_token:`, or let your app itself log in"),
    ("password", "logging in with a person's password is not supported; write `refresh_token:`, or let your app itself log in"),
    ("auth_url", "remove it: Doorbell opens no browser; log in once with another tool, and write the `refresh_token:` that you get"),
    (
        "authorization_url",
        "remove it: Doorbell opens no browser; log in once with another tool, and write the `refresh_token:` that you get",
    ),
    ("access_token", "remove it: Doorbell fetches it; for a token that never changes, write `auth: { bearer: … }` in the step"),
];

pub(super) fn read_oauth2(item: &Item, known: &Names) -> Option<OAuth2> {
    let mut fields = item.fields("`oauth2:`")?;
    let token_url = fields.must("token_url").map(|item| read_token_url(&item, known));
    let client_id = fields.must("client_id").map(|item| read_text(&item, known));
    let refresh_token = fields.may("refresh_token").map(|item| read_secret(&item, known));
    let client_secret = fields.may("client_secret").map(|item| read_secret(&item, known));
    if !fields.has("client_secret") && !fields.has("refresh_token") {
        fields.lacks("client_secret", "your app cannot log in without a secret", "write `client_secret:` below, or `refresh_token:`");
    }
    let scope = fields.may("scope").map(|item| {
        let all = item.one_or_more("write for example contacts.read")?;
        Some(all.iter().map(Item::text).collect::<Option<Vec<_>>>()?.join(" "))
    });
    let proof = fields.may("client_auth").map(|item| match item.text()?.as_str() {
        "header" => Some(ClientProof::Header),
        "body" => Some(ClientProof::Body),
        _ => {
            item.problem("`client_auth:` is `header` or `body`").label("write body, or remove it").add();
            None
        }
    });
    let parameters = fields.may("parameters").map(|item| {
        let read = item.entries("`parameters:`")?.into_iter().map(|(name, value)| match name.as_str() {
            "grant_type" | "scope" | "client_id" | "client_secret" | "refresh_token" => {
                value
                    .problem(format!("Doorbell sends `{name}` itself"))
                    .at_key()
                    .label("remove it, or write it next to `parameters:`")
                    .add();
                None
            }
            _ => Some((name, read_text(&value, known)?)),
        });
        read.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    fields.done(&OAUTH2_WORDS);
    Some(OAuth2 {
        token_url: token_url??,
        client_id: client_id??,
        client_secret: given(client_secret)?,
        proof: proof.unwrap_or(Some(ClientProof::Header))?,
        scope: given(scope)?,
        refresh_token: given(refresh_token)?,
        parameters: parameters.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

fn given<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn read_token_url(item: &Item, known: &Names) -> Option<Url> {
    let text = read_text(item, known)?;
    let text = text.reveal();
    if is_stand_in(text) {
        return None;
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        item.problem("the address that gives out tokens begins with https://")
            .label("write for example https://login.example.com/oauth/token")
            .add();
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        item.problem("an address with a user or a password ends up in logs")
            .label("write `client_id:` and `client_secret:` below it")
            .add();
        return None;
    }
    if let Some(why) = known.lookup.refuses(text) {
        item.warning(why).add();
    }
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() == "http" && !is_here {
        item.warning("secrets are sent to this address without encryption").label("write https://").add();
    }
    Some(url)
}

pub(super) fn read_aws(item: &Item, known: &Names) -> Option<Aws> {
    let mut fields = item.fields("`aws:`")?;
    let name = |item: Item| {
        let text = item.text()?;
        let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name || !matches!(item.node, Node::Text(_)) {
            item.problem(format!("`{text}` is not a name of AWS"))
                .label("write it as in addresses of AWS, such as eu-central-1 or sqs")
                .add();
            return None;
        }
        Some(text)
    };
    let region = fields.must("region").map(name);
    let service = fields.must("service").map(name);
    let access_key_id = fields.must("access_key_id").map(|item| read_text(&item, known));
    let secret_access_key = fields.must("secret_access_key").map(|item| read_secret(&item, known));
    let session_token = fields.may("session_token").map(|item| read_secret(&item, known));
    fields.done(&[
        ("access_key", "access_key_id"),
        ("key", "access_key_id"),
        ("id", "access_key_id"),
        ("accessKeyId", "access_key_id"),
        ("secret_key", "secret_access_key"),
        ("secret", "secret_access_key"),
        ("secretAccessKey", "secret_access_key"),
        ("token", "session_token"),
        ("sessionToken", "session_token"),
    ]);
    let header = |secret: Option<Secret>, item: &Item| -> Option<Option<Secret>> {
        match secret {
            Some(secret) if !secret.reveal().bytes().all(|b| b.is_ascii_graphic()) => {
                item.problem("a key of AWS has no spaces or line breaks").label("copy it again").add();
                None
            }
            other => Some(other),
        }
    };
    let session_token = header(given(session_token)?, item)?;
    let access_key_id = header(Some(access_key_id??), item)??;
    Some(Aws { region: region??, service: service??, access_key_id, secret_access_key: secret_access_key??, session_token })
}
