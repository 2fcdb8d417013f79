//! Collect over upper layers that the kernel's own overlayfs made. The same script runs in a
//! scratchpad and natively in an equal tree; the change set applied to the tree before must give
//! the tree that the native run left. Needs root; elsewhere a test says that it was skipped, and
//! fails when `CI=true`.

pub(crate) mod bench;
mod tree;
mod single;
mod several;
mod layers;
