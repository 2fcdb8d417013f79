//! The cases, one file a subject. An acceptance case is a test named `case_NN_what_it_claims` in
//! an `acceptance_*` file.

mod papers;
mod host;
mod machines;
mod packages;
mod tour;
mod verbs;
mod acceptance_cli;
mod acceptance_lock;
mod acceptance_entries;
mod acceptance_branches;
mod scratchpad;
mod effects;
mod services;
mod limits;
mod mounts;
mod preview;
mod hazards;
mod noop_corpus;
mod commit_commands;
mod commit;
mod commit_errors;
mod changed_meanwhile;
mod audit;
mod damage;
mod peers;
mod crash;
mod hostile;
mod hostile_trees;
mod hostile_bytes;
mod mutations;
