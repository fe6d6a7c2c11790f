//! The budget that helpers are charged to: Handlebars calls them, and knows nothing about budgets. [`super::helpers`] and
//! [`super::registry`] decide how much each one is charged.

use std::cell::RefCell;

use crate::model::budget::{Budget, Spent};

thread_local! {
    /// The budget of the current call: Handlebars has no way to pass it. A call is rendered by a single thread, from
    /// beginning to end.
    static BUDGET: RefCell<Budget> = RefCell::default();
}

/// Runs code whose helpers are charged to a budget.
pub(super) fn within<T>(budget: &Budget, call: impl FnOnce() -> T) -> T {
    BUDGET.set(budget.clone());
    let given = call();
    BUDGET.with_borrow(|copy| budget.take_over(copy));
    given
}

/// Charges the budget of the current call.
pub(super) fn charge<T>(what: impl FnOnce(&Budget) -> Result<T, Spent>) -> Result<T, Spent> {
    BUDGET.with_borrow(what)
}
