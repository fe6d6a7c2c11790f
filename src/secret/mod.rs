//! Secrets: values that rules may use and nobody may see.
//!
//! A [`Secret`] cannot be printed or serialized by accident. [`Vault`] provides the secrets and environment values that rules
//! name, looked up once at load time, and redacts secrets in any text that is shown or stored. How a secret is recognized is in
//! `pattern`, how a text is stored with the names of secrets in `sealed`. The caller decides where secrets come from.

mod data_key;
mod pattern;
mod sealed;
mod value;
mod vault;

pub use data_key::DataKey;
pub use pattern::SHORTEST;
pub use sealed::SealedText;
pub use value::Secret;
pub use vault::{STRUCK, Vault};

/// The data key, if the operator gave one.
pub type Key = Option<std::sync::Arc<DataKey>>;

/// The largest secret, in bytes: the pattern that finds a secret takes about three thousand times its size while it is compiled.
pub const LONGEST: usize = 16 << 10;

/// The shortest secret that `check` does not warn about, in bytes.
pub const SHORT: usize = 8;
