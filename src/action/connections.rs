//! `connections:`: servers and accounts that rules use by name. They are read with the rule files (in `rule/`); what a step does
//! with one is its own business.

use std::collections::BTreeMap;
use std::sync::Arc;

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
}

impl Connection {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Connection::Smtp(_) => "e-mail (SMTP)",
        }
    }

    /// Its server, without any secret.
    pub fn server(&self) -> String {
        match self {
            Connection::Smtp(smtp) => format!("{}:{}", smtp.host, smtp.port),
        }
    }
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
