//! Reading an upper layer of overlayfs: what the attributes of its objects say. Pure: bytes in,
//! values out. Not for walking (see `collect`). Source: the kernel's
//! Documentation/filesystems/overlayfs.rst and fs/overlayfs/overlayfs.h. Upholds: no attribute of
//! the overlay ever shows in a change set, and an application's own always do.

mod attributes;
mod origin;

pub use attributes::{Attributes, InvalidAttribute, Opaque, Redirect, is_volatile_name};
pub use origin::Origin;
