//! What every store guarantees, as tests that know nothing but the [contract](super::contract). Each guarantee is a function;
//! each store is a line in [`stores`] below, and has to pass all of them.
//!
//! A [`Backend`] knows how a store is opened and how its owners die; [`samples`] makes events and runs. What is special to one
//! store is tested next to it. `DOORBELL_PROMISE=lanes cargo test --lib conformance` runs only the tests with
//! `lanes` in their name.

mod accepting;
mod alarms;
mod answers;
mod called_runs;
mod commands;
mod commits;
mod database;
mod deliveries;
mod files;
mod history;
mod hourly;
mod lanes;
mod leasing;
mod memory;
mod once_per;
mod orphaned_runs;
mod postgres;
mod quarantine;
mod recording;
mod retention;
mod samples;
mod saved_values;
mod schedules;
mod sqlite;
mod stress;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use database::{Backend, Database};

macro_rules! stores {
    ($($(#[$note:meta])* $name:ident: $backend:expr;)*) => {
        $($(#[$note])* #[test] fn $name() { keeps_every_promise(&$backend) })*
    };
}

stores! {
    sqlite: sqlite::Sqlites::clear();
    sqlite_encrypted: sqlite::Sqlites::encrypted();
    #[cfg_attr(not(has_postgres), ignore = "needs a PostgreSQL server: apt-get install postgresql")]
    postgres: postgres::Servers::start();
}

type Promise = for<'a> fn(&'a dyn Database) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! promises {
    ($($of:ident::$promise:ident,)*) => { &[$((concat!(stringify!($of), "::", stringify!($promise)), |database| Box::pin($of::$promise(database)))),*] };
}

const PROMISES: &[(&str, Promise)] = promises![
    accepting::an_event_is_saved_exactly_as_it_arrived,
    accepting::what_was_decided_is_saved_with_the_event,
    accepting::runs_are_returned_in_the_order_in_which_they_were_passed,
    accepting::runs_that_the_owner_does_not_take_can_be_leased_by_any_owner,
    accepting::a_repeated_accept_returns_the_same_and_changes_nothing,
    accepting::an_accept_can_be_repeated_after_its_runs_have_ended,
    accepting::an_accept_can_be_repeated_by_many_at_the_same_time,
    accepting::repeating_the_accept_of_another_owner_starts_none_of_its_runs,
    accepting::any_text_can_be_a_key,
    deliveries::a_repeated_event_is_recognized_by_any_of_its_deliveries,
    deliveries::a_delivery_is_remembered_for_its_time_and_no_longer,
    deliveries::a_repeated_delivery_restarts_failed_runs,
    deliveries::a_repeated_delivery_is_recognized_whatever_its_headers_are,
    deliveries::a_different_request_with_a_known_delivery_learns_nothing_about_it,
    deliveries::a_different_request_restarts_failed_runs_only_if_it_is_verified,
    deliveries::a_delivery_that_no_rule_wanted_is_accepted_once_a_rule_wants_it,
    deliveries::a_delivery_whose_event_was_deleted_is_accepted_as_new,
    deliveries::simultaneous_copies_of_a_delivery_are_saved_once,
    once_per::a_value_is_used_once_for_each_rule,
    once_per::a_value_is_remembered_for_its_time_and_no_longer,
    once_per::of_two_runs_of_an_event_with_the_same_value_only_one_starts,
    once_per::a_run_that_fails_or_is_cancelled_releases_its_value,
    once_per::a_replayed_run_claims_its_value_again,
    once_per::a_run_releases_only_a_value_that_is_still_its_own,
    once_per::simultaneous_claims_of_a_value_succeed_once,
    lanes::runs_of_one_lane_start_one_at_a_time,
    lanes::a_lane_keeps_the_order_of_acceptance_whatever_ids_and_clocks_say,
    lanes::a_run_that_waits_for_another_try_keeps_its_lane,
    lanes::lanes_do_not_wait_for_each_other,
    lanes::cancelling_the_first_run_of_a_lane_lets_the_next_one_start,
    lanes::cancelling_a_later_run_of_a_lane_starts_no_other,
    lanes::a_replayed_run_never_runs_together_with_another_one_of_its_lane,
    lanes::a_rule_that_is_started_again_waits_in_its_lane,
    lanes::the_successor_of_a_dead_owner_gets_only_the_first_run_of_a_lane,
    lanes::events_with_lanes_in_opposite_orders_never_deadlock,
    lanes::a_run_that_arrives_while_the_last_one_ends_does_not_wait_for_it,
    leasing::runs_are_leased_in_the_order_in_which_they_are_due,
    leasing::no_more_runs_are_leased_than_were_asked_for,
    leasing::the_number_of_heavy_runs_is_limited_and_they_delay_no_others,
    leasing::runs_that_an_owner_has_are_not_leased,
    leasing::simultaneous_leases_never_return_the_same_run,
    leasing::the_runs_of_a_dead_owner_are_free_whatever_the_clock_says,
    leasing::the_death_of_one_owner_frees_no_runs_of_another,
    leasing::the_next_due_time_counts_only_runs_that_nobody_has,
    recording::attempts_are_in_the_history_in_their_order,
    recording::a_run_continues_where_it_was_recorded,
    recording::whoever_watches_is_told_of_every_change,
    recording::a_run_that_pauses_is_free_when_it_is_due,
    recording::a_repeated_record_changes_nothing,
    recording::a_record_by_an_owner_without_the_run_is_rejected_and_changes_nothing,
    recording::a_record_with_an_earlier_turn_is_rejected_and_changes_nothing,
    recording::a_record_from_before_a_replay_is_rejected_and_changes_nothing,
    recording::a_record_of_a_run_that_has_ended_is_rejected_and_changes_nothing,
    recording::a_record_by_a_dead_owner_is_rejected_and_changes_nothing,
    orphaned_runs::an_orphaned_run_is_returned_as_it_is,
    orphaned_runs::an_orphaned_run_is_found_even_if_the_result_of_one_record_is_unknown,
    orphaned_runs::a_run_that_was_released_and_leased_again_is_not_orphaned,
    orphaned_runs::the_runs_of_an_accept_with_an_unknown_result_are_found,
    orphaned_runs::the_runs_of_another_owner_are_not_returned,
    orphaned_runs::an_owner_can_list_all_its_runs,
    saved_values::a_saved_value_is_read_back,
    saved_values::a_later_value_replaces_an_earlier_one,
    saved_values::a_list_of_fifty_grows_element_by_element,
    saved_values::saved_values_are_read_back_after_a_failure_and_a_replay,
    saved_values::unfinished_elements_are_read_back_until_their_loop_has_ended,
    saved_values::saving_the_same_values_again_repeats_nothing,
    answers::the_first_answer_stays,
    answers::an_event_is_open_while_one_of_its_runs_has_not_ended,
    answers::an_answer_belongs_to_its_event_and_every_owner_can_read_it,
    files::intents_belong_to_their_folder,
    files::an_intent_that_follows_a_deleted_one_stays,
    files::a_settled_effect_stays_settled_until_the_run_continues,
    files::an_effect_of_an_element_that_waits_aside_is_settled_too,
    files::an_element_that_is_set_aside_takes_along_that_it_is_settled,
    files::an_effect_matters_only_while_a_run_is_still_at_it,
    files::rule_files_are_stored_by_their_content,
    quarantine::a_run_that_crashed_the_program_three_times_is_quarantined,
    quarantine::after_a_replay_the_crashes_of_a_quarantined_run_are_counted_again,
    commands::failed_runs_continue_at_the_step_that_failed,
    commands::only_the_failed_runs_of_the_named_rule_are_replayed,
    commands::simultaneous_replays_replay_once,
    commands::a_rule_that_is_started_again_gets_a_new_run,
    commands::the_records_show_which_runs_are_in_hand_and_which_wait_for_their_turn,
    commands::cancelling_ends_waiting_runs_and_leaves_those_in_hand,
    commands::cancelling_ends_the_runs_of_a_dead_owner,
    commands::commands_do_nothing_to_unknown_events,
    retention::an_event_is_deleted_with_everything_that_belongs_to_it,
    retention::events_with_waiting_or_failed_runs_are_not_deleted,
    retention::deleting_continues_where_it_stopped,
    retention::expired_deliveries_are_deleted,
    history::events_and_failed_runs_are_listed_newest_first,
    history::events_are_searched_newest_first_and_a_search_goes_on_where_it_stopped,
    history::events_are_chosen_by_rule_state_and_time,
    history::an_event_is_found_by_the_beginning_of_its_id,
    history::the_records_contain_everything_about_an_event,
    hourly::hourly_counts_add_up,
    hourly::hourly_counts_of_old_hours_are_deleted,
    schedules::a_moment_of_a_rule_is_claimed_once,
    schedules::a_rule_with_another_schedule_goes_on_from_there,
    schedules::a_moment_takes_the_place_of_an_earlier_one_that_waits_for_its_turn,
    alarms::failures_are_counted_until_an_event_stands_for_them,
    alarms::a_record_that_is_rejected_reports_no_failure,
    alarms::a_quarantined_run_is_reported,
    alarms::a_silence_and_its_end_are_claimed_once,
    memory::a_value_is_remembered_together_with_its_step_and_once,
    memory::nothing_is_recorded_if_somebody_else_changed_what_the_step_found,
    memory::a_record_that_is_rejected_remembers_nothing,
    memory::a_value_is_remembered_for_its_time_and_no_longer,
    memory::simultaneous_changes_of_a_key_lose_none,
    called_runs::a_called_run_begins_together_with_its_step_and_once,
    called_runs::a_rejected_step_calls_nothing,
    called_runs::the_last_step_of_a_run_can_call_another_one,
    called_runs::the_end_of_a_called_run_opens_its_caller,
    called_runs::a_caller_that_is_released_after_the_end_is_due_at_once,
    called_runs::a_run_that_does_not_start_is_the_end_for_its_caller,
    called_runs::a_replay_of_the_caller_goes_on_in_the_run_that_failed,
    called_runs::cancelling_a_caller_cancels_the_runs_that_it_waits_for,
    called_runs::the_caller_of_a_quarantined_run_is_told,
    called_runs::what_ended_while_its_caller_was_quarantined_is_found_by_a_replay,
    called_runs::a_caller_keeps_its_lane_while_it_waits,
    called_runs::called_runs_are_deleted_with_their_event,
    called_runs::ends_and_releases_at_the_same_time_lose_nothing,
    commits::commits_are_counted,
    commits::touching_the_store_is_a_commit_that_changes_no_run,
    stress::under_stress_every_run_ends_once_and_alone_in_its_lane,
];

/// The longest that a test may take before it is considered deadlocked.
const LONGEST: Duration = Duration::from_secs(120);

fn keeps_every_promise(backend: &dyn Backend) {
    let chosen = std::env::var("DOORBELL_PROMISE").unwrap_or_default();
    let mut broken = Vec::new();
    for (name, promise) in PROMISES.iter().filter(|(name, _)| name.contains(&chosen)) {
        let kept = || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let database = backend.new_database().await;
                tokio::time::timeout(LONGEST, promise(&*database)).await.expect("the test is deadlocked");
            });
        };
        if std::panic::catch_unwind(AssertUnwindSafe(kept)).is_err() {
            eprintln!("^ {name} is broken\n");
            broken.push(name);
        }
    }
    backend.check_log();
    assert!(broken.is_empty(), "these promises are broken (see above): {broken:#?}");
}
