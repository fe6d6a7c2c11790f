//! What helpers are charged to: Handlebars calls them, and knows no budget. How much each is charged is left to
//! [`super::helpers`] and [`super::registry`].

use std::cell::RefCell;

use crate::model::budget::{Budget, Spent};

thread_local! {
    /// The budget of the call at hand: Handlebars has no way to hand one over. A call is rendered by one thread, from its
    /// beginning to its end.
    static BUDGET: RefCell<Budget> = RefCell::default();
}

/// Does something whose helpers are charged to a budget.
pub(super) fn within<T>(budget: &Budget, call: impl FnOnce() -> T) -> T {
    BUDGET.set(budget.clone());
    let given = call();
    BUDGET.with_borrow(|copy| budget.take_over(copy));
    given
}

/// Charges the budget of the call at hand.
pub(super) fn charge<T>(what: impl FnOnce(&Budget) -> Result<T, Spent>) -> Result<T, Spent> {
    BUDGET.with_borrow(what)
}
