//! The conductors: they take an entry from the journal through scratchpad, judgement and commit to
//! the history, and know all the stages, which do not know each other. Not for the command line
//! (`cli`). Upholds: each entry is wholly live and recorded, or not at all.
//!
//! ```text
//! this_host ── settings, stores, host lock
//! recover ── what an interrupted isconf left behind, first of all
//! work ─> trial ─> judge ─> commit ─> settle          record: origin; update: targets
//! ```

mod this_host;
mod judge;
mod install;
mod snapshot;
mod work;
mod contents;
mod trial;
mod congruence;
mod payload;
mod settle;
mod commit;
mod recover;
mod record;
mod update;
