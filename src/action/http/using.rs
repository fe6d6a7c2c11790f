//! `using:` of a call: the connections that log it in, or sign it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Call, Got, Unsent};
use super::payload::Payload;
use crate::action::accounts::aws;
use crate::action::accounts::exchange::NoToken;
use crate::action::accounts::tokens::Token;
use crate::action::attempt_context::AttemptContext;
use crate::action::connections::{Connection, Connections, Signer, UnsignedCall};
use crate::action::world::World;
use crate::model::outcome::Outcome;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Item;
use crate::yaml::locate::Path;

/// How long a run waits before it looks again whether its connection can be used.
const GONE: Duration = Duration::from_secs(10);
/// The same where somebody has to look after the account: many runs may wait for that, and for long.
const UNTIL_SOMEBODY_CAME: Duration = Duration::from_secs(30);

pub(super) const USING: Word = Word {
    name: "using",
    shape: Shape::Each(1, &Shape::Text),
    does: "the connection that is used; for a call, it logs in or signs, and a list can name one of each",
};

/// Reads the names of connections, each with its place.
pub(super) fn read_using(item: &Item) -> Option<Vec<(String, Path)>> {
    let mut names: Vec<(String, Path)> = Vec::new();
    for one in item.one_or_more("write the name of a connection")? {
        let name = one.text()?;
        if names.iter().any(|(known, _)| *known == name) {
            one.problem(format!("`{name}` is written twice")).label("remove one of them").add();
            return None;
        }
        names.push((name, one.path.clone()));
    }
    Some(names)
}

/// The connections of today that a call uses.
struct Accounts {
    login: Option<(String, Arc<Connection>)>,
    signer: Option<Arc<dyn Signer>>,
}

impl Accounts {
    /// The error is why the call waits.
    fn find(names: &[String], all: &Connections) -> Result<Self, String> {
        let mut found = Self { login: None, signer: None };
        for name in names {
            let connection = all.get(name).ok_or_else(|| format!("the connection `{name}` is not in the rule files any more"))?;
            match &**connection {
                Connection::OAuth2(_) | Connection::Aws(_) => found.login = Some((name.clone(), connection.clone())),
                Connection::Signs(signer) => found.signer = Some(signer.clone()),
                Connection::Smtp(_) => return Err(format!("the connection `{name}` is for {} now", connection.way().name)),
            }
        }
        Ok(found)
    }

    fn signs(&self) -> bool {
        self.signer.is_some() || matches!(&self.login, Some((_, connection)) if matches!(&**connection, Connection::Aws(_)))
    }

    /// Adds to a call what its connections say.
    fn put(&self, call: &mut Call, token: Option<&Token>, context: &AttemptContext) -> Result<(), String> {
        if let Some(token) = token {
            replace(&mut call.headers, "authorization", format!("Bearer {}", token.reveal()));
        }
        if !self.signs() {
            return Ok(());
        }
        let Payload::Bytes(body) = &call.body else { return Err("a form with files cannot be signed".to_owned()) };
        let (body, id) = (body.clone(), context.idempotency_key());
        if let Some(signer) = &self.signer {
            let added = signer.headers(&unsigned(call, &body, &id, context))?;
            added.into_iter().for_each(|(name, value)| replace(&mut call.headers, &name, value));
        }
        if let Some((_, connection)) = &self.login
            && let Connection::Aws(key) = &**connection
        {
            call.url = aws::address(&call.url);
            let added = aws::headers(key, &unsigned(call, &body, &id, context));
            added.into_iter().for_each(|(name, value)| replace(&mut call.headers, &name, value));
        }
        Ok(())
    }
}

fn unsigned<'a>(call: &'a Call, body: &'a [u8], id: &'a str, context: &AttemptContext) -> UnsignedCall<'a> {
    let Call { method, url, headers, .. } = call;
    UnsignedCall { method, url, headers, body, id, at: context.at }
}

fn replace(headers: &mut Vec<(String, String)>, name: &str, value: String) {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value));
}

/// Makes a call with these connections. If its token is not accepted, it is made once more with a new one; all of this is one try.
/// `said` names the call in messages; `is_meant` is whether the step takes 401 for a success.
pub(super) async fn send(
    names: &[String],
    call: Call,
    said: &str,
    is_meant: bool,
    world: &World,
    context: &AttemptContext,
) -> Result<Got, Outcome> {
    let accounts = Accounts::find(names, &(world.connections)()).map_err(|why| Outcome::Paused { why, wait: GONE })?;
    let began = Instant::now();
    let mut refused: Option<Arc<Token>> = None;
    loop {
        let left = || context.timeout.saturating_sub(began.elapsed());
        let mut token = None;
        if let Some((name, connection)) = &accounts.login
            && let Connection::OAuth2(settings) = &**connection
        {
            let asked = world.tokens.token(name, settings, refused.as_deref(), left()).await;
            token = Some(asked.map_err(|no| without_token(name, no))?);
        }
        let mut this = call.again().map_err(|e| Outcome::retry(format!("{said}: {e}")))?;
        accounts
            .put(&mut this, token.as_ref().map(|(token, _)| &**token), context)
            .map_err(|why| Outcome::failed(format!("{said}: {why}")))?;
        let context = AttemptContext { timeout: left(), ..context.clone() };
        let got = world.net.send(this, &context).await.map_err(|no| not_sent(said, no))?;
        let Some((token, is_new)) = token else { return Ok(got) };
        if got.status == 401 && !is_meant && !is_new && refused.is_none() {
            refused = Some(token);
            continue;
        }
        return Ok(without(got, &token));
    }
}

/// What it means for a step that its call was not made, or not answered.
pub(super) fn not_sent(said: &str, no: Unsent) -> Outcome {
    match no {
        Unsent::Again(why) => Outcome::retry(format!("{said}: {why}")),
        Unsent::Resting(why, wait) => Outcome::Paused { why: format!("{said}: {why}"), wait },
        Unsent::Crowded(wait) => Outcome::Deferred(wait),
        Unsent::Never(why) => Outcome::failed(format!("{said}: {why}")),
    }
}

fn without_token(name: &str, no: NoToken) -> Outcome {
    let said = |why: String| format!("{name}: {why}");
    match no {
        NoToken::Later(why, not_before, status) => Outcome::Retry { why: said(why), not_before, status, receipt: None },
        NoToken::Never(why) => Outcome::failed(said(why)),
        NoToken::WantsPerson(why) => Outcome::Paused { why: said(why), wait: UNTIL_SOMEBODY_CAME },
        NoToken::Resting(why, wait) => Outcome::Paused { why: said(why), wait },
        NoToken::Crowded(wait) => Outcome::Deferred(wait),
    }
}

/// An answer may repeat what was sent; the token is in none that anybody sees.
fn without(got: Got, token: &Token) -> Got {
    let text = String::from_utf8_lossy(&got.body);
    let struck = token.strike(&text);
    let body = if struck == text { got.body.clone() } else { struck.into_bytes() };
    let headers = got.headers.into_iter().map(|(name, value)| (name, token.strike(&value))).collect();
    Got { body, headers, ..got }
}
