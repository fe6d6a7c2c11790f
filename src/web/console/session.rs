//! Who may use the console: the link with a key, passwords, the cookie of a browser, the key of the API.
//!
//! Everything is derived from one secret in the data folder, so that links and cookies live through restarts, and deleting
//! that file ends them all.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::disk;
use crate::secret::Secret;

/// How long a login lasts, in seconds.
const LASTS: i64 = 12 * 3600;
/// How many wrong passwords one caller may send within a minute, and how many callers are remembered.
const MOST_WRONG: u32 = 10;
const MOST_CALLERS: usize = 10_000;
/// How many messages for a next page are kept.
const MOST_SAID: usize = 1_000;
const FILE: &str = "console.key";
const BYTES: usize = 32;

/// Somebody who may use the console.
#[derive(Debug, Clone, PartialEq)]
pub struct Visitor {
    /// Different for every login.
    pub id: String,
    pub may_change: bool,
    pub ip: IpAddr,
}

/// The logins of the console.
pub struct Sessions {
    key: hmac::Key,
    /// What cookies are signed with.
    cookie_key: hmac::Key,
    /// Full access, and looking only.
    password: Option<Secret>,
    read_password: Option<Secret>,
    /// Whether the link with a key works: only where nobody else can reach the console.
    has_link: bool,
    cookie: String,
    wrong: Mutex<HashMap<(Way, IpAddr), (u32, i64)>>,
    /// Logins that were ended before their time, and when they would have ended by themselves.
    ended: Mutex<HashMap<String, i64>>,
    said: Mutex<HashMap<String, String>>,
}

/// How somebody tries to get in. Each is counted by itself: a page that calls one with wrong keys locks nobody out of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Link,
    Password,
    Api,
}

/// Why somebody was not let in.
#[derive(Debug, PartialEq)]
pub enum NotIn {
    Wrong,
    /// Too many attempts.
    Wait,
}

/// How people log in.
pub struct Ways {
    pub password: Option<Secret>,
    pub read_password: Option<Secret>,
    /// By the link with the key.
    pub link: bool,
    /// The port, because browsers give the cookies of one host to all its ports.
    pub port: u16,
    pub is_secure: bool,
    pub has_base: bool,
}

impl Sessions {
    /// Reads the secret of a data folder, or the file that the operator names; makes it if there is none. The error is a
    /// message for people.
    pub fn open(data: &Path, file: Option<&Path>, ways: Ways) -> Result<Self, String> {
        let path = file.map_or_else(|| data.join(FILE), Path::to_owned);
        let secret = secret(&path, file.is_none())?;
        let prefix = match (ways.is_secure, ways.has_base) {
            (true, false) => "__Host-",
            (true, true) => "__Secure-",
            (false, _) => "",
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        // A changed password ends what was begun with the old one.
        let revealed = |known: &Option<Secret>| known.as_ref().map_or(String::new(), |known| known.reveal().to_owned());
        let passwords = format!("{}\0{}", revealed(&ways.password), revealed(&ways.read_password));
        let cookie_key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, passwords.as_bytes()).as_ref());
        Ok(Self {
            key,
            cookie_key,
            password: ways.password,
            read_password: ways.read_password,
            has_link: ways.link,
            cookie: format!("{prefix}doorbell-{}", ways.port),
            wrong: Mutex::default(),
            ended: Mutex::default(),
            said: Mutex::default(),
        })
    }

    /// The key in the link that `serve` prints: 128 bits.
    pub fn link_key(&self) -> String {
        self.derived("link")
    }

    /// The key that programs send to the API.
    pub fn api_key(&self) -> String {
        self.derived("api")
    }

    fn derived(&self, what: &str) -> String {
        hex(hmac::sign(&self.key, what.as_bytes()).as_ref()).chars().take(32).collect()
    }

    /// Whether the link with the key lets people in.
    pub fn has_link(&self) -> bool {
        self.has_link
    }

    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.read_password.is_some()
    }

    /// The cookie for whoever comes with the key of the link.
    pub fn by_link(&self, key: &str, ip: IpAddr, now: Timestamp) -> Result<String, NotIn> {
        self.judge((Way::Link, ip), now, self.has_link && is_same(key, &self.link_key()), true)
    }

    /// The cookie for whoever knows a password.
    pub fn by_password(&self, password: &str, ip: IpAddr, now: Timestamp) -> Result<String, NotIn> {
        let is = |known: &Option<Secret>| known.as_ref().is_some_and(|known| is_same(password, known.reveal()));
        // Both are always compared.
        let (is_full, is_reader) = (is(&self.password), is(&self.read_password));
        self.judge((Way::Password, ip), now, is_full || is_reader, is_full)
    }

    /// Whether this is the key of the API.
    pub fn is_api_key(&self, key: &str, ip: IpAddr, now: Timestamp) -> bool {
        self.judge((Way::Api, ip), now, is_same(key, &self.api_key()), true).is_ok()
    }

    fn judge(&self, (way, ip): (Way, IpAddr), now: Timestamp, is_right: bool, may_change: bool) -> Result<String, NotIn> {
        let minute = now.as_second() / 60;
        let mut wrong = self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if wrong.len() > MOST_CALLERS {
            wrong.retain(|_, (_, at)| *at == minute);
        }
        // A key has 128 bits: nobody guesses it, and who has it is let in whatever others at this address send.
        let is_sure = is_right && way != Way::Password;
        let (count, at) = wrong.entry((way, network(ip))).or_insert((0, minute));
        if *at != minute {
            (*count, *at) = (0, minute);
        }
        if *count >= MOST_WRONG && !is_sure {
            return Err(NotIn::Wait);
        }
        if !is_right {
            *count += 1;
            tracing::warn!(%ip, "login to the console denied");
            return Err(NotIn::Wrong);
        }
        drop(wrong);
        let mut id = [0; 16];
        // Without random numbers nobody gets in.
        SystemRandom::new().fill(&mut id).map_err(|_| NotIn::Wait)?;
        let role = if may_change { 'c' } else { 'r' };
        let text = format!("{}.{role}.{}", now.as_second() + LASTS, hex(&id));
        Ok(format!("{text}.{}", hex(hmac::sign(&self.cookie_key, text.as_bytes()).as_ref())))
    }

    /// The `Set-Cookie` that keeps somebody logged in; an empty value logs out.
    pub fn set_cookie(&self, value: &str, base: &str) -> String {
        let path = if base.is_empty() { "/" } else { base };
        let secure = if self.cookie.starts_with("__") { "; Secure" } else { "" };
        let age = if value.is_empty() { 0 } else { LASTS };
        // Lax: links to the console are sent in chats. Changes ask for more, see `gate`.
        format!("{}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}", self.cookie)
    }

    /// Whoever sends these cookies.
    pub fn visitor(&self, cookies: &str, ip: IpAddr, now: Timestamp) -> Option<Visitor> {
        let mine = cookies.split(';').filter_map(|c| c.trim().split_once('=')).filter(|(name, _)| *name == self.cookie);
        mine.map(|(_, value)| value).find_map(|value| self.read(value, ip, now))
    }

    fn read(&self, value: &str, ip: IpAddr, now: Timestamp) -> Option<Visitor> {
        let (text, mac) = value.rsplit_once('.')?;
        if !is_same(mac, &hex(hmac::sign(&self.cookie_key, text.as_bytes()).as_ref())) {
            return None;
        }
        let mut parts = text.split('.');
        let (until, role, id) = (parts.next()?.parse::<i64>().ok()?, parts.next()?, parts.next()?);
        let is_ended = || self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains_key(id);
        (now.as_second() < until && !is_ended()).then(|| Visitor { id: id.to_owned(), may_change: role == "c", ip })
    }

    /// Ends a login: its cookie is worth nothing any more, also if somebody has copied it. Forgotten when Doorbell starts again.
    pub fn end(&self, visitor: &Visitor, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ended.retain(|_, until| *until > now.as_second());
        ended.insert(visitor.id.clone(), now.as_second() + LASTS);
    }

    /// Keeps a message for the next page that this visitor sees.
    pub fn say(&self, visitor: &Visitor, what: String) {
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.len() >= MOST_SAID {
            said.clear();
        }
        said.insert(visitor.id.clone(), what);
    }

    /// The message for this page, once.
    pub fn said(&self, visitor: &Visitor) -> Option<String> {
        self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&visitor.id)
    }
}

/// The callers that are counted as one: whoever has one address of IPv6 has 2^64 of them.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

/// The secret in a file.
fn secret(path: &Path, make: bool) -> Result<String, String> {
    let shown = path.display();
    let mut text = String::new();
    match std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) if text.trim().len() >= BYTES => return Ok(text.trim().to_owned()),
        Ok(_) => return Err(format!("the console's key {shown} is too short; write one with: openssl rand -hex {BYTES} > {shown}")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && make => {}
        Err(e) => return Err(format!("the console's key {shown} cannot be read: {}", disk::error_sentence(&e))),
    }
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
    let text = hex(&bytes);
    let written = disk::private_file().create_new(true).write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| format!("the console's key {shown} cannot be written: {}", disk::error_sentence(&e)))?;
    Ok(text)
}

/// Compares without telling by the time it takes how much was right.
fn is_same(a: &str, b: &str) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest(a).as_ref().ct_eq(digest(b).as_ref()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn sessions(data: &Path, is_secure: bool) -> Sessions {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let ways = Ways { password: secret("right"), read_password: secret("look"), link: true, port: 8081, is_secure, has_base: false };
        Sessions::open(data, None, ways).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_login_lasts_twelve_hours_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = sessions(folder.path(), false);
        let value = first.by_password("right", IP, at(0)).unwrap();
        let cookies = format!("other=1; doorbell-8081={value}");
        let again = sessions(folder.path(), false);
        let visitor = again.visitor(&cookies, IP, at(LASTS - 1)).unwrap();
        assert!(visitor.may_change);
        assert_eq!(again.visitor(&cookies, IP, at(LASTS)), None);
        assert_eq!(again.visitor(&cookies.replace(".c.", ".r."), IP, at(0)), None, "nothing in a cookie can be changed");
        assert_eq!(again.visitor(&format!("doorbell-8082={value}"), IP, at(0)), None, "another Doorbell on the same host");
        assert_eq!(first.link_key(), again.link_key());
        assert!(again.by_link(&again.link_key(), IP, at(0)).is_ok());
        assert_eq!(again.by_link(&again.api_key(), IP, at(0)), Err(NotIn::Wrong));
    }

    #[test]
    fn the_second_password_only_looks() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = sessions(folder.path(), true);
        let value = sessions.by_password("look", IP, at(0)).unwrap();
        let set = sessions.set_cookie(&value, "");
        assert_eq!(set, format!("__Host-doorbell-8081={value}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"));
        assert!(!sessions.visitor(&set, IP, at(0)).unwrap().may_change);
    }

    #[test]
    fn a_login_ends_when_somebody_logs_out_or_a_password_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let first = sessions(folder.path(), false);
        let log_in = || format!("doorbell-8081={}", first.by_password("right", IP, at(0)).unwrap());
        let (one, other) = (log_in(), log_in());
        first.end(&first.visitor(&one, IP, at(1)).unwrap(), at(1));
        assert_eq!(first.visitor(&one, IP, at(2)), None);
        assert!(first.visitor(&other, IP, at(2)).is_some());
        let ways = Ways {
            password: Some(Secret::new("changed".to_owned())),
            read_password: None,
            link: true,
            port: 8081,
            is_secure: false,
            has_base: false,
        };
        let changed = Sessions::open(folder.path(), None, ways).unwrap();
        assert_eq!(changed.visitor(&other, IP, at(2)), None);
        assert_eq!(changed.link_key(), first.link_key(), "the link is no login");
    }

    #[test]
    fn a_page_that_sends_wrong_keys_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = sessions(folder.path(), false);
        for _ in 0..=MOST_WRONG {
            assert!(sessions.by_link("wrong", IP, at(0)).is_err());
            assert!(!sessions.is_api_key("wrong", IP, at(0)));
        }
        assert!(sessions.by_link(&sessions.link_key(), IP, at(0)).is_ok());
        assert!(sessions.is_api_key(&sessions.api_key(), IP, at(0)));
        assert!(sessions.by_password("right", IP, at(0)).is_ok());
    }

    #[test]
    fn all_addresses_of_one_home_are_one_caller() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = sessions(folder.path(), false);
        for n in 0..MOST_WRONG {
            let ip = format!("2001:db8:0:1::{n}").parse().unwrap();
            assert_eq!(sessions.by_password("wrong", ip, at(0)), Err(NotIn::Wrong));
        }
        assert_eq!(sessions.by_password("right", "2001:db8:0:1:ffff::1".parse().unwrap(), at(0)), Err(NotIn::Wait));
        assert!(sessions.by_password("right", "2001:db8:0:2::1".parse().unwrap(), at(0)).is_ok());
    }

    #[test]
    fn whoever_guesses_has_to_wait_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = sessions(folder.path(), false);
        for _ in 0..MOST_WRONG {
            assert_eq!(sessions.by_password("wrong", IP, at(0)), Err(NotIn::Wrong));
        }
        assert_eq!(sessions.by_password("right", IP, at(59)), Err(NotIn::Wait));
        assert!(sessions.by_password("right", "192.0.2.7".parse().unwrap(), at(0)).is_ok());
        assert!(sessions.by_password("right", IP, at(60)).is_ok());
    }

    #[test]
    fn the_secret_is_readable_by_its_owner_alone_and_a_short_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        sessions(folder.path(), false);
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short\n").unwrap();
        assert!(secret(&path, true).unwrap_err().contains("is too short"));
        assert!(secret(&folder.path().join("missing"), false).unwrap_err().contains("cannot be read"));
    }
}
