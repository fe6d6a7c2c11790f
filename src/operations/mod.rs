//! What people can view and do, as values, for the command line and every other interface; and the socket by which
//! commands reach a running `serve` ([`control`]). Nothing here prints. What is made to be shown contains no secrets;
//! the effects of [`preview`] do, and [`dry_run`] redacts them.

pub mod alarms;
pub mod command;
pub mod connections;
pub mod control;
pub mod drafts;
pub mod dry_run;
pub mod editing;
pub mod event_fields;
pub mod excerpt;
pub mod experience;
pub mod failures;
pub mod history;
pub mod hours;
pub mod kept_test;
pub mod lost_calls;
pub mod metrics;
pub mod neighbours;
pub mod open_runs;
pub mod outcomes;
pub mod output_files;
pub mod preview;
pub mod recipe_words;
pub mod recipes;
pub mod replay;
pub mod rule_tests;
pub mod run_rules;
pub mod schedules;
pub mod switched_off;
pub mod verification;
pub mod versions;
pub mod vocabulary;
