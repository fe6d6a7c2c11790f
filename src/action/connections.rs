//! `connections:`: servers and accounts that rules use by name. They are read with the rule files (in `rule/`); what a step does
//! with one is its own business.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::secret::Secret;

/// All connections, by name.
#[derive(Debug, Default)]
pub struct Connections(BTreeMap<String, Arc<Connection>>);

impl Connections {
    pub fn new(all: impl IntoIterator<Item = (String, Connection)>) -> Self {
        Self(all.into_iter().map(|(name, connection)| (name, Arc::new(connection))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Connection>> {
        self.0.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Connection>)> {
        self.0.iter().map(|(name, connection)| (name.as_str(), connection))
    }
}

/// Where the current connections are found: a waiting run uses those of today.
pub type CurrentConnections = Box<dyn Fn() -> Arc<Connections> + Send + Sync>;

#[derive(Debug, Clone)]
pub enum Connection {
    Smtp(Smtp),
    OAuth2(Box<OAuth2>),
    Aws(Aws),
    Signs(Arc<dyn Signer>),
}

/// What a connection does for a step that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    SendsMail,
    LogsIn,
    Signs,
}

/// A kind of connection: the key that it has in a rule file, what it is called, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub key: &'static str,
    /// For people.
    pub name: &'static str,
    /// What stands between that and [its server](Connection::server).
    pub joint: &'static str,
    pub role: Role,
}

/// All kinds of connections.
pub const WAYS: [Way; 4] = [
    Way { key: "smtp", name: "e-mail (SMTP)", joint: " at ", role: Role::SendsMail },
    Way { key: "oauth2", name: "OAuth 2", joint: " at ", role: Role::LogsIn },
    Way { key: "aws", name: "AWS", joint: ": ", role: Role::LogsIn },
    Way { key: "signs", name: "signatures", joint: ": ", role: Role::Signs },
];

impl Connection {
    pub fn way(&self) -> Way {
        let [smtp, oauth2, aws, signs] = WAYS;
        match self {
            Connection::Smtp(_) => smtp,
            Connection::OAuth2(_) => oauth2,
            Connection::Aws(_) => aws,
            Connection::Signs(_) => signs,
        }
    }

    /// Its server, or what else tells it from others of its kind; without any secret.
    pub fn server(&self) -> String {
        match self {
            Connection::Smtp(smtp) => format!("{}:{}", smtp.host, smtp.port),
            Connection::OAuth2(oauth) => {
                let host = oauth.token_url.host_str().unwrap_or_default();
                oauth.token_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
            }
            Connection::Aws(aws) => format!("{} in {}", aws.service, aws.region),
            Connection::Signs(signer) => signer.scheme(),
        }
    }
}

/// An account at a server that gives out tokens (RFC 6749): by client credentials, or by a refresh token if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth2 {
    pub token_url: Url,
    pub client_id: Secret,
    /// A public client has none.
    pub client_secret: Option<Secret>,
    pub proof: ClientProof,
    pub scope: Option<String>,
    pub refresh_token: Option<Secret>,
    /// What this server needs in addition, such as `audience`.
    pub parameters: Vec<(String, Secret)>,
}

/// Where the client's id and secret are sent (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProof {
    Header,
    Body,
}

/// A key of AWS, for one service in one region.
#[derive(Debug, Clone)]
pub struct Aws {
    pub region: String,
    pub service: String,
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// Signs calls.
pub trait Signer: std::fmt::Debug + Send + Sync {
    /// What it is called, for people.
    fn scheme(&self) -> String;
    /// The headers that a call needs in addition. The error is a message for people.
    fn headers(&self, call: &UnsignedCall) -> Result<Vec<(String, String)>, String>;
}

/// A call before it is signed.
#[derive(Debug, Clone, Copy)]
pub struct UnsignedCall<'a> {
    pub method: &'a str,
    pub url: &'a Url,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    /// The same for every try.
    pub id: &'a str,
    pub at: Timestamp,
}

/// A server that sends e-mail.
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// The user and the password.
    pub login: Option<(Secret, Secret)>,
    /// Who sends: `Shop <shop@example.com>`.
    pub from: String,
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From its beginning (`smtps://`).
    Tls,
    /// After the greeting (`smtp://`), never without.
    StartTls,
    /// Not at all (`tls: none`).
    None,
}
