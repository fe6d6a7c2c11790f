//! Tries a connection: whether its server answers and takes the login. Nothing is sent.

use super::connections::Connection;
use super::http::client::Net;

/// The error is a message for people.
#[cfg(feature = "email")]
pub async fn try_out(net: &Net, connection: &Connection) -> Result<(), String> {
    /// How long a server has to answer.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
    match connection {
        Connection::Smtp(smtp) => super::email::server::try_out(net, smtp, PATIENCE).await,
    }
}

/// The error is a message for people.
#[cfg(not(feature = "email"))]
pub async fn try_out(_: &Net, _: &Connection) -> Result<(), String> {
    Err("this Doorbell was built without e-mail".to_owned())
}
