//! The options of `serve` for its console, and what they mean together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::engine::rules::environment::Environment;
use crate::secret::Secret;
use crate::web::console::session::{Sessions, Ways};
use crate::web::console::settings::{Settings, named, own_names};

/// The names of the passwords: variables, or files as for every secret (`NAME_FILE`, `/run/secrets/NAME`).
const PASSWORD: &str = "DOORBELL_CONSOLE_PASSWORD";
const READ_PASSWORD: &str = "DOORBELL_CONSOLE_READ_PASSWORD";

#[derive(Args, Clone, Debug)]
pub struct ConsoleOptions {
    /// The address of the console for browsers, or 'off'
    #[arg(long, env = "DOORBELL_CONSOLE", default_value = "127.0.0.1:8081", value_name = "ADDR|off", value_parser = place)]
    console: Place,
    /// A name by which browsers call the console, such as doorbell.local; can be repeated
    #[arg(long, env = "DOORBELL_CONSOLE_HOST", value_name = "NAME", value_delimiter = ',')]
    console_host: Vec<String>,
    /// The address of the console as browsers see it behind a proxy, such as https://ops.example.com/doorbell
    #[arg(long, env = "DOORBELL_CONSOLE_URL", value_name = "URL")]
    console_url: Option<String>,
    /// A file with the key that signs logins; by default it is in the data folder
    #[arg(long, env = "DOORBELL_CONSOLE_KEY_FILE", value_name = "FILE")]
    console_key_file: Option<PathBuf>,
    /// Nobody can change anything in the console
    #[arg(long, env = "DOORBELL_CONSOLE_READ_ONLY", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    console_read_only: bool,
    /// Allow editing rules in a console that other computers can reach
    #[arg(long, env = "DOORBELL_CONSOLE_EDIT", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    console_edit: bool,
    /// Hide bodies, headers and queries in the console
    #[arg(long, env = "DOORBELL_CONSOLE_HIDE_BODIES", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    console_hide_bodies: bool,
}

/// Where the console listens.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Off,
    At(SocketAddr),
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "off" => Ok(Place::Off),
        _ => text.parse().map(Place::At).map_err(|_| "write an address such as 127.0.0.1:8081, or off".to_owned()),
    }
}

/// The console's address outside, as a proxy offers it.
struct Outside {
    host: String,
    base: String,
    is_secure: bool,
}

impl ConsoleOptions {
    /// Where the console listens; `None` if there is none.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.console {
            Place::Off => None,
            Place::At(address) => Some(address),
        }
    }

    /// Whether nobody but this computer can reach it.
    pub fn is_local(&self) -> bool {
        self.address().is_some_and(|address| address.ip().is_loopback()) && self.console_url.is_none()
    }

    /// What the options mean for a console that listens at `address`. Elsewhere than on this computer alone, a password is
    /// required. `has_tls`: whether Doorbell itself does TLS there. `webhooks` is where senders call.
    pub fn read(
        &self,
        environment: &Environment,
        data: &Path,
        address: SocketAddr,
        has_tls: bool,
        webhooks: String,
    ) -> anyhow::Result<(Settings, Sessions)> {
        let password = |name: &str| environment.secret(name).filter(|p| !p.is_empty()).map(Secret::new);
        let (password, read_password) = (password(PASSWORD), password(READ_PASSWORD));
        if !self.is_local() && password.is_none() && read_password.is_none() {
            anyhow::bail!(
                "the console would be open to everybody who can reach {address}; set a password in {PASSWORD} or {PASSWORD}_FILE, or use --console off"
            );
        }
        let outside = self.console_url.as_deref().map(outside).transpose()?;
        let port = address.port();
        let mut hosts = own_names(address);
        hosts.extend(self.console_host.iter().flat_map(|host| named(host, port)));
        hosts.extend(outside.iter().map(|o| o.host.to_ascii_lowercase()));
        let is_secure = outside.as_ref().map_or(has_tls, |o| o.is_secure);
        let base = outside.map(|o| o.base).unwrap_or_default();
        let ways = Ways { password, read_password, link: self.is_local(), port, is_secure, has_base: !base.is_empty() };
        let sessions = Sessions::open(data, self.console_key_file.as_deref(), ways).map_err(anyhow::Error::msg)?;
        let settings = Settings {
            hosts,
            base,
            is_secure,
            is_read_only: self.console_read_only,
            may_edit: self.is_local() || self.console_edit,
            hides_bodies: self.console_hide_bodies,
            webhooks,
        };
        Ok((settings, sessions))
    }
}

fn outside(url: &str) -> anyhow::Result<Outside> {
    let wrong = || format!("--console-url {url} is not an address such as https://ops.example.com/doorbell");
    let (scheme, rest) = url.split_once("://").with_context(wrong)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
    let base = path.trim_end_matches('/');
    anyhow::ensure!(matches!(scheme, "http" | "https") && !host.is_empty() && host.chars().all(is_host), wrong());
    anyhow::ensure!(base.chars().all(is_plain) && !base.split('/').any(|part| part == ".."), wrong());
    let base = if base.is_empty() { String::new() } else { format!("/{base}") };
    Ok(Outside { host: host.to_owned(), base, is_secure: scheme == "https" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_outside_is_taken_apart() {
        let read = |url: &str| outside(url).map(|o| (o.host, o.base, o.is_secure)).ok();
        assert_eq!(read("https://ops.example.com/doorbell/"), Some(("ops.example.com".into(), "/doorbell".into(), true)));
        assert_eq!(read("http://ops:8443"), Some(("ops:8443".into(), String::new(), false)));
        for wrong in ["ops.example.com", "ftp://a", "https://", "https://a/../b", "https://a/<b>", "https://u@a/b"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
