//! What every kind of action is: read at load, rendered for an event, performed in the world.
//!
//! *Read* and *render* are pure; only *perform* touches the [`Outside`]. `check` stops after the first, `try` after the
//! second, so both are the product's own code.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::field::Field;
use crate::known::Known;
use crate::run::{Outcome, Place, RunId};
use crate::scope::Scope;
use crate::template::Unrendered;
use crate::yaml::fields::Fields;

use super::outside::Outside;
use crate::event::EventId;

/// A kind of action: the verbs that people write, and how a step of them is read.
pub trait Kind: Sync {
    /// The keys in the rule file.
    fn verbs(&self) -> &'static [&'static str];
    /// One line for the docs.
    fn does(&self) -> &'static str;
    /// A step, as people would write it; a test compiles and renders it.
    fn example(&self) -> &'static str;
    /// Reads one step; problems go into `fields`.
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Known) -> Option<Box<dyn Action>>;
}

/// A compiled step, without its modifiers.
pub trait Action: Send + Sync {
    /// What it would do for one event. Pure.
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered>;
    /// Every field that it may need to render.
    fn fields(&self) -> Vec<&Field>;
    /// Whether it answers the caller.
    fn answers(&self) -> bool {
        false
    }
}

/// Something concrete that is not yet done; prints as people see it in `try`.
pub trait Effect: Display + Send {
    fn perform<'a>(self: Box<Self>, outside: &'a Outside, ticket: Ticket) -> Performing<'a>;
    /// The answer, if this is one: `try` shows it, and nothing has to be done for it.
    fn kind(&self) -> &'static str;
}

/// An effect on its way.
pub type Performing<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// On whose behalf an effect is performed.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub event: EventId,
    pub run: RunId,
    pub place: Place,
    /// The same for every try of one step and element.
    pub idempotency_key: String,
    /// How long one try may take.
    pub timeout: Duration,
}
