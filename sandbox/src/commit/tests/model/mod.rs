//! The planner against a filesystem in memory: every plan can be carried out step by step, leads
//! to what was to be, and back from any point of it.
//!
//! ```text
//! live tree ─work─> view ─collect (by definition)─> items ─guard, shape, plan─> steps
//!     └─ prepare, apply (the real one, on Ground for Disk), a crash after every change ─> tree
//! ```

mod disk;
mod ground;
mod work;
mod capture;
mod rig;
mod properties;
