//! Asks a server for a token (RFC 6749, 4.4 and 6), and reads its answer (5.1 and 5.2).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::action::connections::{ClientProof, OAuth2};
use crate::action::http::client::{Call, Got, Net, Unsent};
use crate::secret::Secret;
use crate::text::printable::short;

/// How long a server has to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most characters of what a server says is wrong.
const MOST_SAID: usize = 300;
/// Answers that only a person can change, because the account was closed or its secrets are not accepted, and what to do.
const FOR_A_PERSON: [(&str, &str); 3] = [
    ("invalid_grant", "get a new refresh token and set it"),
    ("invalid_client", "correct `client_id:` and `client_secret:`"),
    ("unauthorized_client", "allow the app at that server to log in like this"),
];

/// What a server gave.
#[derive(Debug)]
pub struct Given {
    pub access_token: Secret,
    /// How long it is accepted, if the server says so.
    pub lasts: Option<Duration>,
    /// In place of the one that was used.
    pub refresh_token: Option<Secret>,
}

/// Why there is no token. The texts are messages for people.
#[derive(Debug, Clone, PartialEq)]
pub enum NoToken {
    /// It may be there later; after this time, if the server said so.
    Later(String, Option<Duration>, Option<u16>),
    Never(String),
    /// A person has to change something.
    WantsPerson(String),
    /// The server does not answer at present, and is left alone for this time.
    Resting(String, Duration),
    /// Too many calls are waiting for the server.
    Crowded(Duration),
}

/// Asks for a token: with a refresh token, or as the client alone.
pub async fn ask(net: &Net, account: &OAuth2, refresh_token: Option<&Secret>) -> Result<Given, NoToken> {
    let call = request(account, refresh_token);
    let server = account.token_url.host_str().unwrap_or_default();
    match net.ask(call, PATIENCE).await {
        Ok(got) => read(&got).map_err(|no| match no {
            NoToken::Later(why, wait, status) => NoToken::Later(format!("{server} {why}"), wait, status),
            NoToken::Never(why) => NoToken::Never(format!("{server} {why}")),
            NoToken::WantsPerson(why) => NoToken::WantsPerson(format!("{server} {why}")),
            other => other,
        }),
        Err(Unsent::Again(why)) => Err(NoToken::Later(format!("no token from {server}: {why}"), None, None)),
        Err(Unsent::Never(why)) => Err(NoToken::Never(format!("no token from {server}: {why}"))),
        Err(Unsent::Resting(why, wait)) => Err(NoToken::Resting(why, wait)),
        Err(Unsent::Crowded(wait)) => Err(NoToken::Crowded(wait)),
    }
}

fn request(account: &OAuth2, refresh_token: Option<&Secret>) -> Call {
    let mut form = form_urlencoded::Serializer::new(String::new());
    match refresh_token {
        Some(token) => form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.reveal()),
        None => form.append_pair("grant_type", "client_credentials"),
    };
    if let Some(scope) = &account.scope {
        form.append_pair("scope", scope);
    }
    let mut headers = vec![
        ("accept".to_owned(), "application/json".to_owned()),
        ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    match (&account.client_secret, account.proof) {
        (Some(secret), ClientProof::Header) => {
            // Both are encoded as in a form, so that a colon in the id does no harm (RFC 6749, 2.3.1).
            let encoded = |text: &Secret| form_urlencoded::byte_serialize(text.reveal().as_bytes()).collect::<String>();
            let both = STANDARD.encode(format!("{}:{}", encoded(&account.client_id), encoded(secret)));
            headers.push(("authorization".to_owned(), format!("Basic {both}")));
        }
        (secret, _) => {
            form.append_pair("client_id", account.client_id.reveal());
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret.reveal());
            }
        }
    }
    for (name, value) in &account.parameters {
        form.append_pair(name, value.reveal());
    }
    Call {
        method: "POST".to_owned(),
        url: account.token_url.clone(),
        headers,
        body: form.finish().into_bytes().into(),
        sink: None,
        targets: Vec::new(),
        is_chosen: false,
        follow: false,
        server: None,
    }
}

fn read(got: &Got) -> Result<Given, NoToken> {
    let body: Value = serde_json::from_slice(&got.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Some servers say what is wrong with the status 200.
    if let Some(error) = text("error").or_else(|| (got.status >= 400).then_some("")) {
        return Err(refusal(got, error, text("error_description")));
    }
    let unusable = |what: &str| NoToken::Later(format!("answered {}, but {what}", got.status), None, Some(got.status));
    if got.status != 200 {
        return Err(unusable("not with a token"));
    }
    let token = text("access_token").ok_or_else(|| unusable("without a token"))?;
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(unusable("its token cannot be sent in a header"));
    }
    if let Some(kind) = text("token_type").filter(|kind| ["mac", "pop", "dpop"].contains(&kind.to_ascii_lowercase().as_str())) {
        return Err(NoToken::Never(format!("gives tokens of the type `{}`, and only Bearer tokens can be sent", short(kind, MOST_SAID))));
    }
    let seconds = body.get("expires_in").and_then(|lasts| match lasts {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        other => other.as_f64(),
    });
    Ok(Given {
        access_token: Secret::new(token),
        lasts: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        refresh_token: text("refresh_token").map(Secret::new),
    })
}

fn refusal(got: &Got, error: &str, description: Option<&str>) -> NoToken {
    let status = got.status;
    let said = [Some(error).filter(|error| !error.is_empty()), description];
    let said = short(&said.into_iter().flatten().collect::<Vec<_>>().join(": "), MOST_SAID);
    let why = if said.is_empty() { format!("answered {status}") } else { format!("answered {status} ({said})") };
    if let Some((_, advice)) = FOR_A_PERSON.iter().find(|(known, _)| *known == error) {
        return NoToken::WantsPerson(format!("{why}; {advice}"));
    }
    match status {
        408 | 425 | 429 | 500.. => NoToken::Later(why, got.retry_after(), Some(status)),
        _ if matches!(error, "temporarily_unavailable" | "server_error" | "slow_down") => {
            NoToken::Later(why, got.retry_after(), Some(status))
        }
        _ => NoToken::Never(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(status: u16, body: &str) -> Got {
        let received = jiff::Timestamp::UNIX_EPOCH;
        Got { status, headers: vec![("retry-after".into(), "7".into())], body: body.into(), sunk: None, received }
    }

    fn account() -> OAuth2 {
        OAuth2 {
            token_url: "https://login.example.com/token?tenant=a".parse().unwrap(),
            client_id: Secret::new("sh:op"),
            client_secret: Some(Secret::new("p@ss w")),
            proof: ClientProof::Header,
            scope: Some("a b".to_owned()),
            refresh_token: None,
            parameters: vec![("audience".to_owned(), Secret::new("https://api.example.com"))],
        }
    }

    #[test]
    fn a_client_proves_itself_in_the_header_or_in_the_body() {
        let sent = |account: &OAuth2, refresh: Option<&str>| {
            let refresh = refresh.map(Secret::new);
            let call = request(account, refresh.as_ref());
            let auth = call.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone());
            let crate::action::http::payload::Payload::Bytes(body) = call.body else { panic!() };
            (auth, String::from_utf8(body.to_vec()).unwrap())
        };
        let audience = "audience=https%3A%2F%2Fapi.example.com";
        let basic = format!("Basic {}", STANDARD.encode("sh%3Aop:p%40ss+w"));
        assert_eq!(sent(&account(), None), (Some(basic), format!("grant_type=client_credentials&scope=a+b&{audience}")));
        let body = OAuth2 { proof: ClientProof::Body, ..account() };
        let both = "client_id=sh%3Aop&client_secret=p%40ss+w";
        assert_eq!(sent(&body, Some("r/1")), (None, format!("grant_type=refresh_token&refresh_token=r%2F1&scope=a+b&{both}&{audience}")));
        // A public client has no secret.
        let public = OAuth2 { client_secret: None, scope: None, parameters: Vec::new(), ..account() };
        assert_eq!(sent(&public, Some("r")), (None, "grant_type=refresh_token&refresh_token=r&client_id=sh%3Aop".to_owned()));
    }

    #[test]
    fn answers_are_read_as_servers_give_them() {
        let given = read(&got(200, r#"{"access_token":"t-1","token_type":"bearer","expires_in":3600,"refresh_token":"r-2"}"#)).unwrap();
        assert_eq!(given.access_token.reveal(), "t-1");
        assert_eq!((given.lasts, given.refresh_token), (Some(Duration::from_secs(3600)), Some(Secret::new("r-2"))));
        let given = read(&got(200, r#"{"access_token":"t-1","expires_in":"60"}"#)).unwrap();
        assert_eq!((given.lasts, given.refresh_token), (Some(Duration::from_secs(60)), None));
        let lasts = |text: &str| read(&got(200, &format!(r#"{{"access_token":"t","expires_in":{text}}}"#))).unwrap().lasts;
        assert_eq!((lasts("null"), lasts("-5"), lasts("1e300")), (None, Some(Duration::ZERO), None));
        let no = |status, body: &str| read(&got(status, body)).unwrap_err();
        let person = |why: &str| NoToken::WantsPerson(why.to_owned());
        assert_eq!(no(400, r#"{"error":"invalid_grant"}"#), person("answered 400 (invalid_grant); get a new refresh token and set it"));
        assert_eq!(
            no(401, r#"{"error":"invalid_client","error_description":"no\u0007 such client"}"#),
            person("answered 401 (invalid_client: no\u{2407} such client); correct `client_id:` and `client_secret:`")
        );
        assert_eq!(no(200, r#"{"error":"invalid_grant"}"#), person("answered 200 (invalid_grant); get a new refresh token and set it"));
        assert_eq!(no(400, r#"{"error":"invalid_scope"}"#), NoToken::Never("answered 400 (invalid_scope)".to_owned()));
        assert_eq!(no(404, "<html>"), NoToken::Never("answered 404".to_owned()));
        assert_eq!(no(503, ""), NoToken::Later("answered 503".to_owned(), Some(Duration::from_secs(7)), Some(503)));
        assert_eq!(no(200, "{}"), NoToken::Later("answered 200, but without a token".to_owned(), None, Some(200)));
        assert_eq!(no(302, ""), NoToken::Later("answered 302, but not with a token".to_owned(), None, Some(302)));
        let why = "answered 200, but its token cannot be sent in a header".to_owned();
        assert_eq!(no(200, r#"{"access_token":"a\r\nb"}"#), NoToken::Later(why, None, Some(200)));
        let why = "gives tokens of the type `DPoP`, and only Bearer tokens can be sent".to_owned();
        assert_eq!(no(200, r#"{"access_token":"a","token_type":"DPoP"}"#), NoToken::Never(why));
    }
}
