//! The cases, one file a subject. An acceptance case is a test named `case_NN_what_it_claims` in
//! an `acceptance_*` file.

mod papers;
mod host;
mod tour;
mod verbs;
mod acceptance_cli;
mod acceptance_lock;
mod acceptance_entries;
mod acceptance_branches;
mod scratchpad;
mod preview;
mod commit;
mod damage;
mod crash;
mod hostile;
