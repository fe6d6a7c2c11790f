//! The key that encrypts what is stored: AES-256-GCM, with a subkey of its own for every process.
//!
//! A sealed text says with which key it was sealed, so that several keys can be used at a time: the first one seals, all of them
//! open. What is sealed, and where it is stored, is decided by the callers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{self, HKDF_SHA256};
use ring::rand::{SecureRandom, SystemRandom};

/// The length of a key in bytes.
const KEY: usize = 32;
const VERSION: u8 = 1;
/// How a key is named in what it sealed: the first bytes of its hash.
const ID: usize = 4;
/// The random part of a subkey. Two processes never have the same one, so that the counter below never repeats a nonce.
const SALT: usize = 16;
const COUNTER: usize = 8;
const HEAD: usize = 1 + ID + SALT + COUNTER;
/// The maximum number of subkeys of earlier processes in memory; above that, all are derived again.
const MOST_SUBKEYS: usize = 1000;

/// The keys of a data folder.
pub struct DataKey {
    keys: Vec<Master>,
    salt: [u8; SALT],
    sealing: Arc<LessSafeKey>,
    counter: AtomicU64,
    /// Subkeys of the other processes whose texts were opened.
    known: Mutex<Subkeys>,
}

/// By the number of the key and the random part.
type Subkeys = HashMap<(usize, [u8; SALT]), Arc<LessSafeKey>>;

struct Master {
    id: [u8; ID],
    key: hkdf::Prk,
}

impl DataKey {
    /// Reads the key files; the first key seals. The error is a message for people.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self, String> {
        let key = |file: &Path| {
            let shown = file.display();
            let text = std::fs::read_to_string(file)
                .map_err(|e| format!("the data key {shown} cannot be read: {}", crate::disk::error_sentence(&e)))?;
            hex(text.trim()).ok_or_else(|| format!("the data key {shown} is not a key; create one with: openssl rand -hex {KEY} > {shown}"))
        };
        Self::new(files.iter().map(|file| key(file.as_ref())).collect::<Result<_, _>>()?)
    }

    fn new(keys: Vec<[u8; KEY]>) -> Result<Self, String> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| "the system has no random numbers".to_owned())?;
        let master = |key: &[u8; KEY]| {
            let mut id = [0; ID];
            id.iter_mut().zip(digest::digest(&digest::SHA256, key).as_ref()).for_each(|(to, from)| *to = *from);
            Master { id, key: hkdf::Salt::new(HKDF_SHA256, b"doorbell data key").extract(key) }
        };
        let keys: Vec<Master> = keys.iter().map(master).collect();
        let sealing = Arc::new(subkey(keys.first().ok_or("no data key was given")?, &salt)?);
        Ok(Self { keys, salt, sealing, counter: AtomicU64::new(0), known: Mutex::default() })
    }

    /// Encrypts bytes. They can be opened only with the same context, so that nobody can put one record in the place of
    /// another.
    pub fn seal(&self, bytes: &[u8], context: &str) -> Vec<u8> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut out = Vec::with_capacity(HEAD + bytes.len() + AES_256_GCM.tag_len());
        out.push(VERSION);
        out.extend(self.keys.first().map_or([0; ID], |key| key.id));
        out.extend(self.salt);
        out.extend(count);
        let mut text = bytes.to_vec();
        // It fails only for texts of more than 64 GB.
        if self.sealing.seal_in_place_append_tag(nonce(count), Aad::from(context), &mut text).is_err() {
            return Vec::new();
        }
        out.append(&mut text);
        out
    }

    /// Decrypts what [`Self::seal`] made. The error is a message for people.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, String> {
        let damaged = || "an encrypted record is damaged".to_owned();
        let (head, text) = sealed.split_at_checked(HEAD).ok_or_else(damaged)?;
        let (version, head) = head.split_first().ok_or_else(damaged)?;
        let (id, head) = head.split_first_chunk::<ID>().ok_or_else(damaged)?;
        let (salt, head) = head.split_first_chunk::<SALT>().ok_or_else(damaged)?;
        let count = head.first_chunk::<COUNTER>().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err("a record was encrypted by a newer Doorbell".to_owned());
        }
        let at = self.keys.iter().position(|key| key.id == *id);
        let at = at.ok_or("a record was encrypted with another data key; give that key, too: --data-key NEW,OLD")?;
        let key = self.subkey(at, *salt)?;
        let mut text = text.to_vec();
        let length = key.open_in_place(nonce(*count), Aad::from(context), &mut text).map_err(|_| damaged())?.len();
        text.truncate(length);
        Ok(text)
    }

    fn subkey(&self, at: usize, salt: [u8; SALT]) -> Result<Arc<LessSafeKey>, String> {
        if at == 0 && salt == self.salt {
            return Ok(self.sealing.clone());
        }
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = known.get(&(at, salt)) {
            return Ok(key.clone());
        }
        let master = self.keys.get(at).ok_or("this data key does not exist")?;
        let key = Arc::new(subkey(master, &salt)?);
        if known.len() >= MOST_SUBKEYS {
            known.clear();
        }
        known.insert((at, salt), key.clone());
        Ok(key)
    }
}

fn subkey(master: &Master, salt: &[u8; SALT]) -> Result<LessSafeKey, String> {
    let info = [salt.as_slice()];
    let derived = master.key.expand(&info, &AES_256_GCM).map_err(|_| "the data key cannot be used")?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

fn nonce(count: [u8; COUNTER]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().skip(NONCE_LEN - COUNTER).zip(count).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

fn hex(text: &str) -> Option<[u8; KEY]> {
    let mut key = [0; KEY];
    if text.len() != 2 * KEY || !text.is_ascii() {
        return None;
    }
    for (to, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *to = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("DataKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> [u8; KEY] {
        [byte; KEY]
    }

    #[test]
    fn what_is_sealed_can_be_opened_with_its_key_and_context_only() {
        let mine = DataKey::new(vec![key(1)]).unwrap();
        for text in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = mine.seal(text, "body of 1");
            // The store subtracts this number, too.
            assert_eq!(sealed.len(), text.len() + 45);
            assert_eq!(mine.open(&sealed, "body of 1").as_deref(), Ok(text));
            assert_eq!(mine.open(&sealed, "body of 2").unwrap_err(), "an encrypted record is damaged");
            let again = DataKey::new(vec![key(1)]).unwrap();
            assert_eq!(again.open(&sealed, "body of 1").as_deref(), Ok(text), "another process");
        }
        let sealed = mine.seal(b"secret", "");
        assert_ne!(sealed, mine.seal(b"secret", ""), "each nonce is used once");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(mine.open(&changed, "").is_err(), "{at}");
            assert!(mine.open(&sealed[..at], "").is_err(), "{at}");
        }
    }

    #[test]
    fn a_new_key_seals_and_an_old_one_still_opens() {
        let old = DataKey::new(vec![key(1)]).unwrap().seal(b"secret", "");
        let both = DataKey::new(vec![key(2), key(1)]).unwrap();
        assert_eq!(both.open(&old, "").as_deref(), Ok(&b"secret"[..]));
        let new = both.seal(b"secret", "");
        let only_new = DataKey::new(vec![key(2)]).unwrap();
        assert_eq!(only_new.open(&new, "").as_deref(), Ok(&b"secret"[..]));
        let why = "a record was encrypted with another data key; give that key, too: --data-key NEW,OLD";
        assert_eq!(only_new.open(&old, "").unwrap_err(), why);
    }

    #[test]
    fn a_key_file_contains_64_hexadecimal_digits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.key");
        std::fs::write(&file, "0123456789abcdef".repeat(4) + "\n").unwrap();
        assert!(DataKey::read(&[&file]).is_ok());
        for text in ["", "abc", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            std::fs::write(&file, text).unwrap();
            let shown = file.display();
            let why = format!("the data key {shown} is not a key; create one with: openssl rand -hex 32 > {shown}");
            assert_eq!(DataKey::read(&[&file]).unwrap_err(), why);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(DataKey::read(&[&file]).unwrap_err(), format!("the data key {} cannot be read: it does not exist", file.display()));
    }
}
