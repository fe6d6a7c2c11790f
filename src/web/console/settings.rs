//! How the console is reached, and what may be done in it: read once from the options of `serve`.

use std::net::SocketAddr;

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names by which the console may be called, in lower case, with the port if it is not the usual one. Any other name may be
    /// somebody else's, which was made to lead here (DNS rebinding).
    pub hosts: Vec<String>,
    /// The path before that of every page, without a slash at its end; empty unless a proxy adds one.
    pub base: String,
    /// Whether browsers reach it by https.
    pub is_secure: bool,
    /// Nobody may change anything.
    pub is_read_only: bool,
    /// Whether rule files may be written.
    pub may_edit: bool,
    /// Whether bodies, headers and queries are hidden.
    pub hides_bodies: bool,
    /// Where senders call, for showing it: `http://127.0.0.1:8080`.
    pub webhooks: String,
}

impl Settings {
    /// Whether this is one of the console's own names. `host` is what a browser sends.
    pub fn is_own(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// The names of a console that listens at this address: the address itself, and `localhost` where it is that.
pub fn own_names(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut names = vec![address.to_string()];
    if address.ip().is_loopback() {
        names.extend([format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
    }
    names
}

/// A host from the command line, as browsers send it at this port.
pub fn named(host: &str, port: u16) -> Vec<String> {
    let host = host.to_ascii_lowercase();
    let bare = host.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err());
    if bare { vec![format!("{host}:{port}"), host] } else { vec![host] }
}
