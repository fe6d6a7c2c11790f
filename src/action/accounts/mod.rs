//! Accounts of calls: what a connection adds to a call, so that the other app knows who calls. Tokens are fetched, kept and renewed
//! here; calls themselves are made in [`super::http`].

pub mod aws;
pub mod exchange;
pub mod refresh_tokens;
pub mod tokens;
