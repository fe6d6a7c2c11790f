//! Tries a connection: whether its server answers and takes the login. Nothing is sent.

use std::sync::Arc;
use std::time::Duration;

use super::accounts::exchange::NoToken;
use super::accounts::tokens::Tokens;
use super::connections::Connection;

/// How long a server has to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of trying a connection.
pub enum Tried {
    Works,
    /// A message for people.
    Fails(String),
    /// It has no server that could be asked.
    OnlySigns,
}

pub async fn try_out(tokens: &Arc<Tokens>, name: &str, connection: &Connection) -> Tried {
    let tried = match connection {
        #[cfg(feature = "email")]
        Connection::Smtp(smtp) => super::email::server::try_out(tokens.net(), smtp, PATIENCE).await,
        #[cfg(not(feature = "email"))]
        Connection::Smtp(_) => Err("this Doorbell was built without e-mail".to_owned()),
        Connection::OAuth2(account) => match tokens.token(name, account, None, PATIENCE).await {
            Ok(_) => Ok(()),
            Err(NoToken::Later(why, ..) | NoToken::Never(why) | NoToken::WantsPerson(why) | NoToken::Resting(why, _)) => Err(why),
            Err(NoToken::Crowded(_)) => Err("too many calls to its server are waiting".to_owned()),
        },
        Connection::Aws(_) | Connection::Signs(_) => return Tried::OnlySigns,
    };
    tried.map_or_else(Tried::Fails, |()| Tried::Works)
}
