//! What every store guarantees, as tests that know nothing but the [contract](super::contract). Each guarantee is a function;
//! each store is a line in [`stores`] below, and has to pass all of them.
//!
//! A [`Backend`] defines how a store is opened and how its owners die; [`sample`] makes events and runs. What is specific
//! to one store is tested next to it. `DOORBELL_PROMISE=lanes cargo test --lib conformance` runs only the tests with
//! `lanes` in their name.

mod accepting;
mod answers;
mod deliveries;
mod files;
mod history;
mod holding;
mod lanes;
mod leasing;
mod once;
mod people;
mod place;
mod postgres;
mod quarantine;
mod recording;
mod retention;
mod rush;
mod sample;
mod saved;
mod sqlite;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use place::{Backend, Place};

macro_rules! stores {
    ($($(#[$note:meta])* $name:ident: $backend:expr;)*) => {
        $($(#[$note])* #[test] fn $name() { keeps_every_promise(&$backend) })*
    };
}

stores! {
    sqlite: sqlite::Sqlites;
    #[cfg_attr(not(has_postgres), ignore = "needs a PostgreSQL server: apt-get install postgresql")]
    postgres: postgres::Servers::start();
}

type Promise = for<'a> fn(&'a dyn Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! promises {
    ($($of:ident::$promise:ident,)*) => { &[$((concat!(stringify!($of), "::", stringify!($promise)), |place| Box::pin($of::$promise(place)))),*] };
}

const PROMISES: &[(&str, Promise)] = promises![
    accepting::an_event_is_kept_as_it_came,
    accepting::runs_are_given_in_the_order_in_which_they_were_handed_in,
    accepting::runs_that_the_owner_does_not_take_are_left_to_whoever_leases_them,
    accepting::an_accept_that_is_repeated_gives_the_same_and_changes_nothing,
    accepting::it_can_be_repeated_when_its_runs_have_ended_meanwhile,
    accepting::it_can_be_repeated_by_many_at_a_time,
    accepting::runs_of_another_owner_are_not_begun_by_who_repeats_its_accept,
    accepting::any_text_can_be_a_key,
    deliveries::an_event_that_comes_again_is_known_by_any_of_its_deliveries,
    deliveries::a_delivery_is_remembered_for_its_time_and_no_longer,
    deliveries::one_that_comes_again_starts_again_what_had_failed,
    deliveries::one_that_comes_again_is_the_same_whatever_its_headers_are,
    deliveries::another_request_with_a_known_delivery_learns_nothing_of_it,
    deliveries::another_request_starts_again_what_had_failed_only_if_it_is_vouched_for,
    deliveries::one_that_no_rule_wanted_then_is_taken_when_one_does,
    deliveries::one_whose_event_was_deleted_is_taken_as_new,
    deliveries::the_same_delivery_from_many_sides_at_a_time_is_kept_once,
    once::a_value_is_used_once_for_each_rule,
    once::a_value_is_remembered_for_its_time_and_no_longer,
    once::two_runs_of_one_event_with_the_same_value_are_one,
    once::a_run_that_fails_or_is_cancelled_gives_its_value_back,
    once::a_replayed_run_claims_its_value_again,
    once::a_run_gives_back_only_what_is_still_its_own,
    once::many_that_claim_a_value_at_a_time_get_it_once,
    lanes::runs_of_one_lane_are_begun_one_at_a_time,
    lanes::a_lane_is_in_the_order_of_acceptance_whatever_ids_and_clocks_say,
    lanes::a_run_that_waits_for_another_try_still_has_its_lane,
    lanes::lanes_do_not_wait_for_each_other,
    lanes::cancelling_the_head_of_a_lane_lets_the_next_one_begin,
    lanes::cancelling_the_middle_of_a_lane_lets_nobody_begin,
    lanes::a_replayed_run_never_joins_another_one_of_its_lane,
    lanes::a_rule_that_is_started_anew_waits_in_its_lane,
    lanes::who_takes_over_from_a_dead_owner_gets_the_head_of_its_lane_only,
    lanes::lanes_that_cross_in_opposite_order_never_wait_for_each_other,
    lanes::a_run_that_comes_while_the_last_one_ends_is_not_left_behind,
    leasing::runs_are_leased_in_the_order_in_which_they_are_due,
    leasing::no_more_are_leased_than_were_asked_for,
    leasing::heavy_runs_are_leased_as_many_as_are_wanted_and_hold_up_no_others,
    leasing::what_an_owner_has_is_not_leased,
    leasing::many_who_lease_at_a_time_never_get_the_same_run,
    leasing::what_a_dead_owner_had_is_free_whatever_the_clock_says,
    leasing::the_death_of_one_owner_frees_nothing_of_another_one,
    leasing::the_next_due_is_that_of_runs_that_nobody_has,
    recording::what_was_tried_is_in_the_history_in_its_order,
    recording::a_run_goes_on_where_it_was_recorded,
    recording::a_run_that_does_not_go_on_is_free_when_it_is_due,
    recording::a_record_that_is_repeated_changes_nothing,
    recording::a_record_by_who_has_not_the_run_is_refused_and_changes_nothing,
    recording::a_record_by_an_earlier_count_is_refused_and_changes_nothing,
    recording::a_record_from_before_a_replay_is_refused_and_changes_nothing,
    recording::a_record_of_a_run_that_has_ended_is_refused_and_changes_nothing,
    recording::a_record_by_a_dead_owner_is_refused_and_changes_nothing,
    holding::a_run_that_was_lost_hold_of_is_given_as_it_is,
    holding::it_is_found_also_when_one_record_was_not_heard_of,
    holding::it_is_not_found_when_it_was_given_back_and_leased_again,
    holding::an_event_whose_accept_was_not_heard_of_gives_what_it_began,
    holding::what_another_owner_has_is_not_given,
    holding::an_owner_is_told_all_that_it_has,
    saved::a_saved_value_is_read_back,
    saved::a_later_value_takes_the_place_of_an_earlier_one,
    saved::a_list_of_fifty_grows_element_by_element,
    saved::saved_values_are_read_back_after_a_failure_and_a_replay,
    saved::saving_again_what_was_saved_doubles_nothing,
    answers::the_first_answer_stays,
    answers::an_event_is_open_while_a_run_of_it_is_to_be_done,
    answers::an_answer_is_that_of_its_event_and_known_to_everybody,
    files::intents_belong_to_their_folder,
    files::the_intent_that_follows_a_forgotten_one_stays,
    files::an_effect_that_was_settled_says_so_until_the_run_goes_on,
    files::an_effect_matters_while_a_run_is_still_at_it,
    files::rule_files_are_kept_by_their_content,
    quarantine::a_run_of_which_the_program_died_three_times_is_set_aside,
    quarantine::one_that_is_replayed_after_that_begins_to_count_anew,
    people::failed_runs_go_on_at_the_step_that_failed,
    people::only_the_failed_runs_of_the_rule_that_was_named_are_replayed,
    people::many_who_replay_at_a_time_replay_once,
    people::a_rule_that_is_started_anew_gets_a_run_of_its_own,
    people::a_story_tells_what_is_in_hand_and_what_waits_for_its_turn,
    people::cancelling_ends_what_waits_and_leaves_what_is_in_hand,
    people::cancelling_ends_what_a_dead_owner_had,
    people::nothing_happens_to_events_that_are_not_kept,
    retention::an_event_is_deleted_with_all_that_belongs_to_it,
    retention::what_waits_or_failed_is_not_deleted,
    retention::deleting_goes_on_where_it_stopped,
    retention::what_was_remembered_for_a_time_is_deleted_after_it,
    history::events_and_failed_runs_are_listed_newest_first,
    history::events_are_chosen_by_rule_state_and_time,
    history::an_event_is_found_by_the_beginning_of_its_id,
    history::everything_about_an_event_is_told,
    rush::whatever_many_do_at_a_time_every_run_ends_once_and_alone_in_its_lane,
];

/// The longest that one test may take. One that takes longer is deadlocked.
const LONGEST: Duration = Duration::from_secs(120);

fn keeps_every_promise(backend: &dyn Backend) {
    let chosen = std::env::var("DOORBELL_PROMISE").unwrap_or_default();
    let mut broken = Vec::new();
    for (name, promise) in PROMISES.iter().filter(|(name, _)| name.contains(&chosen)) {
        let kept = || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let place = backend.new_place().await;
                tokio::time::timeout(LONGEST, promise(&*place)).await.expect("it does not come to an end");
            });
        };
        if std::panic::catch_unwind(AssertUnwindSafe(kept)).is_err() {
            eprintln!("^ {name} is broken\n");
            broken.push(name);
        }
    }
    backend.is_well();
    assert!(broken.is_empty(), "these promises are broken (see above): {broken:#?}");
}
