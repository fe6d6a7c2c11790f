//! The tokens of accounts (`oauth2:`): fetched when a call needs one, kept in memory, and renewed before they end or when they are
//! not accepted any more. One renewal of an account at a time; who needs its token meanwhile waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::{self, Given, NoToken};
use super::refresh_tokens::{OwnedRefreshToken, RefreshTokens};
use crate::action::connections::{Connection, Connections, OAuth2};
use crate::action::http::client::Net;
use crate::secret::{Secret, Vault};

/// A token is renewed so long before it ends, or after nine tenths of its time.
const MARGIN: Duration = Duration::from_secs(60);
/// How long it takes until a server that refused an account is asked again, unless people change something.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// An access token.
pub struct Token {
    value: Secret,
    until: Option<Instant>,
    /// Finds it in texts.
    mask: Vault,
}

impl Token {
    pub fn reveal(&self) -> &str {
        self.value.reveal()
    }

    /// The text without the token.
    pub fn strike(&self, text: &str) -> String {
        self.mask.strike(text)
    }

    fn is_valid(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The tokens of all accounts.
pub struct Tokens {
    net: Arc<Net>,
    stored: RefreshTokens,
    /// By the name of the connection.
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

/// The token of one account, and what is known about it.
#[derive(Default)]
struct Account {
    /// With the settings that it was fetched with.
    current: Mutex<Option<(OAuth2, Arc<Token>)>>,
    /// Who renews it holds this.
    renewal: tokio::sync::Mutex<Renewal>,
    /// Why a person has to change something, and with which settings that was.
    wants: Mutex<Option<(OAuth2, String)>>,
}

#[derive(Default)]
struct Renewal {
    /// What the server refused, why, and when.
    refused: Option<(OAuth2, String, Instant)>,
    /// What could not be saved, because of the disk.
    unsaved: Option<(OAuth2, Given)>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tokens {
    pub fn new(net: Arc<Net>, stored: RefreshTokens) -> Arc<Self> {
        Arc::new(Self { net, stored, accounts: Mutex::default() })
    }

    /// The connections that tokens are fetched over.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The token of an account, and whether it is new. `refused` is one that was not accepted any more.
    pub async fn token(
        self: &Arc<Self>,
        name: &str,
        settings: &OAuth2,
        refused: Option<&Token>,
        timeout: Duration,
    ) -> Result<(Arc<Token>, bool), NoToken> {
        let account = lock(&self.accounts).entry(name.to_owned()).or_default().clone();
        if let Some(token) = account.current(settings, refused) {
            return Ok((token, false));
        }
        // In a task of its own: a caller who gives up must not lose a refresh token that is on its way.
        let (tokens, name, settings) = (self.clone(), name.to_owned(), settings.clone());
        let refused = refused.map(|token| token.value.clone());
        let renewing = tokio::spawn(async move { tokens.renew(&account, &name, &settings, refused.as_ref()).await });
        match tokio::time::timeout(timeout, renewing).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(panic)) => Err(NoToken::Later(panic.to_string(), None, None)),
            Err(_) => Err(NoToken::Later(format!("no token within {} seconds", timeout.as_secs_f32()), None, None)),
        }
    }

    /// The connections that somebody has to look after, and why. What people have changed since is given the benefit of the doubt.
    pub fn wanting(&self, current: &Connections) -> Vec<(String, String)> {
        let accounts = lock(&self.accounts);
        let why = |name: &String, account: &Account| {
            let wants = lock(&account.wants);
            let (settings, why) = wants.as_ref()?;
            let is_current = matches!(&**current.get(name)?, Connection::OAuth2(now) if **now == *settings);
            is_current.then(|| (name.clone(), why.clone()))
        };
        let mut all: Vec<_> = accounts.iter().filter_map(|(name, account)| why(name, account)).collect();
        all.sort();
        all
    }

    async fn renew(
        &self,
        account: &Account,
        name: &str,
        settings: &OAuth2,
        refused: Option<&Secret>,
    ) -> Result<(Arc<Token>, bool), NoToken> {
        let mut renewal = account.renewal.lock().await;
        // Somebody else may have renewed it meanwhile.
        let is_refused = |token: &Token| refused.is_some_and(|refused| *refused == token.value);
        if let Some((known, token)) = lock(&account.current).as_ref()
            && known == settings
            && token.is_valid(Instant::now())
            && !is_refused(token)
        {
            return Ok((token.clone(), true));
        }
        if let Some((known, why, at)) = &renewal.refused
            && known == settings
            && at.elapsed() < ASK_AGAIN
        {
            return Err(NoToken::WantsPerson(why.clone()));
        }
        match self.fetch(&mut renewal, name, settings).await {
            Ok(given) => {
                renewal.refused = None;
                if lock(&account.wants).take().is_some() {
                    tracing::info!(connection = name, "connection works again");
                }
                let mut mask = Vault::default();
                mask.keep("access token", given.access_token.reveal().to_owned());
                let lasts = given.lasts.map(|lasts| lasts - MARGIN.min(lasts / 10));
                let until = lasts.and_then(|lasts| Instant::now().checked_add(lasts));
                let token = Arc::new(Token { value: given.access_token, until, mask });
                *lock(&account.current) = Some((settings.clone(), token.clone()));
                Ok((token, true))
            }
            Err(NoToken::WantsPerson(why)) => {
                let mut wants = lock(&account.wants);
                if wants.as_ref().is_none_or(|(_, known)| *known != why) {
                    tracing::error!(connection = name, "connection needs somebody to look after it, and what uses it waits: {why}");
                }
                *wants = Some((settings.clone(), why.clone()));
                renewal.refused = Some((settings.clone(), why.clone(), Instant::now()));
                Err(NoToken::WantsPerson(why))
            }
            Err(other) => Err(other),
        }
    }

    /// Asks the server for a token. A new refresh token is on disk before this returns.
    async fn fetch(&self, renewal: &mut Renewal, name: &str, settings: &OAuth2) -> Result<Given, NoToken> {
        let Some(written) = &settings.refresh_token else {
            let given = exchange::ask(&self.net, settings, None).await.map_err(|no| without_secrets(no, settings, None))?;
            return Ok(Given { refresh_token: None, ..given });
        };
        let (stored, account) = (self.stored.clone(), settings.clone());
        let owning = on_disk(move || {
            let owned = stored.own(&account)?;
            let found = owned.find()?;
            Ok((owned, found))
        });
        let (owned, found) = owning.await.map_err(|why| NoToken::Later(why, None, None))?;
        if let Some((known, given)) = renewal.unsaved.take()
            && known == *settings
        {
            return keep(owned, name, settings, given, renewal).await;
        }
        let used = found.as_ref().unwrap_or(written);
        let given = exchange::ask(&self.net, settings, Some(used)).await.map_err(|no| without_secrets(no, settings, Some(used)))?;
        match given.refresh_token.as_ref().is_some_and(|new| new != used) {
            true => keep(owned, name, settings, given, renewal).await,
            false => Ok(given),
        }
    }
}

/// Stores the new refresh token. If that fails, it is tried again before anything else.
async fn keep(owned: OwnedRefreshToken, name: &str, settings: &OAuth2, given: Given, renewal: &mut Renewal) -> Result<Given, NoToken> {
    let (name, new) = (name.to_owned(), given.refresh_token.clone());
    match on_disk(move || new.map_or(Ok(()), |new| owned.keep(&name, &new))).await {
        Ok(()) => Ok(given),
        Err(why) => {
            tracing::error!("{why}");
            renewal.unsaved = Some((settings.clone(), given));
            Err(NoToken::Later(why, None, None))
        }
    }
}

impl Account {
    /// The token, if it can be used.
    fn current(&self, settings: &OAuth2, refused: Option<&Token>) -> Option<Arc<Token>> {
        let current = lock(&self.current);
        let (known, token) = current.as_ref()?;
        let is_refused = refused.is_some_and(|refused| refused.value == token.value);
        (known == settings && token.is_valid(Instant::now()) && !is_refused).then(|| token.clone())
    }
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(panic.to_string()))
}

/// What a server says may repeat what was sent to it.
fn without_secrets(no: NoToken, settings: &OAuth2, used: Option<&Secret>) -> NoToken {
    let mut mask = Vault::default();
    for (n, secret) in [settings.client_secret.as_ref(), settings.refresh_token.as_ref(), used].into_iter().flatten().enumerate() {
        mask.keep(&n.to_string(), secret.reveal().to_owned());
    }
    let strike = |why: String| mask.strike(&why);
    match no {
        NoToken::Later(why, wait, status) => NoToken::Later(strike(why), wait, status),
        NoToken::Never(why) => NoToken::Never(strike(why)),
        NoToken::WantsPerson(why) => NoToken::WantsPerson(strike(why)),
        other => other,
    }
}
