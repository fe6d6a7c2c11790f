//! What a user sees, tested on the real program over real sockets and files. One module for each thing a person would
//! name; the small world that they all live in is `world`.

mod answers;
mod beginning;
mod bodies;
mod calls;
mod conditions;
mod connections;
mod crash;
mod disks;
mod docs;
mod door;
mod dry_run;
mod explain;
mod files;
mod greetings;
mod hang_ups;
mod hostile;
mod keeping;
mod keys;
mod neighbours;
mod order;
mod overload;
mod owners;
mod payloads;
mod problems;
mod redelivery;
mod reload;
mod respond;
mod running;
mod schema;
mod senders;
mod sheets;
mod states;
mod templates;
mod tidy;
mod world;
