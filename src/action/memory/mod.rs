//! `remember`, `recall`, `forget`: a small memory that all rules share. A step finds out what is there and says what is to be there;
//! the store changes it in the transaction that records the step. Steps that change the same key take turns.

pub mod steps;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::model::outcome::Receipt;

/// Where values are remembered.
pub trait MemoryReader: Send + Sync {
    /// What is remembered under a key, as JSON; the error is a message.
    fn find(&self, key: String, now: Timestamp) -> Pin<Box<dyn Future<Output = Result<Option<String>, String>> + Send + '_>>;
}

type Turn = tokio::sync::Mutex<()>;

/// What rules remember.
pub struct RuleMemory {
    reader: Box<dyn MemoryReader>,
    /// Whose turn it is, by key.
    turns: Mutex<HashMap<String, Weak<Turn>>>,
}

impl RuleMemory {
    pub fn new(reader: impl MemoryReader + 'static) -> Self {
        Self { reader: Box::new(reader), turns: Mutex::default() }
    }

    /// What is remembered under a key; the error is a message.
    async fn find(&self, key: &str, now: Timestamp) -> Result<Option<String>, String> {
        self.reader.find(key.to_owned(), now).await
    }

    /// Waits until no other step changes this key. It is nobody else's turn until the receipt is dropped.
    async fn turn(&self, key: &str) -> Receipt {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let known = turns.get(key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::new(Turn::default());
                turns.insert(key.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        let guard = turn.lock_owned().await;
        let (receipt, mut dropped) = mpsc::channel(1);
        tokio::spawn(async move {
            let _guard = guard;
            let _ = dropped.recv().await;
        });
        receipt
    }
}

/// What is remembered in a dry run.
#[derive(Debug, Clone, Default)]
pub struct DryMemory {
    pub values: BTreeMap<String, Value>,
    /// Whether nothing else is remembered.
    pub is_whole: bool,
}
