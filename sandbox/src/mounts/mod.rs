//! What the scratchpad is mounted from: the live machine's mounts are read, each is given a
//! treatment, the treatments become a list of steps, and the cloned child performs the steps.
//! Not for processes (see `child`). Upholds: deciders are pure; every writable mount is covered by
//! an overlay, or is read-only inside and named.
//!
//! ```text
//! mountinfo ─Inventory→ classify ─Treatment→ plan ─Plan{steps, layout, uncovered}→ apply
//!                                                         └→ scratch (make, remove)
//! ```

mod mountinfo;
mod inventory;
mod classify;
mod step;
mod disguise;
mod devices;
mod plan;
mod hidden;
mod scratch;
mod apply;

pub use classify::{PlanError, Reason, Uncovered, Uncovering};
pub use disguise::{Disguise, DisguiseError};
pub(crate) use inventory::PROC_READ_ONLY;
pub use inventory::{Inventory, InventoryError, SeenMount, Shows};
pub use mountinfo::{InvalidMountInfo, Mount};
pub use plan::{Plan, PlanSettings, plan};
pub use scratch::{RemoveError, ScratchError};
pub use step::Step;

pub(crate) use apply::{apply, name_lower, overlay_probe};
pub(crate) use hidden::{name_instead, other_names};
pub(crate) use scratch::{
    clear_volumes, make_beside, make_scratch, remove_hidden_if_empty, remove_scratch, remove_tree,
    remove_volumes,
};
