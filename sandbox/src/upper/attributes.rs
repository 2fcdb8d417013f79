//! The extended attributes of one object of an upper layer, sorted into the overlay's own and the
//! application's.

use std::collections::BTreeMap;

use super::Origin;
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, InvalidPath, RelPath};

/// What the attributes of an upper object say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Whether a directory hides what lies below it.
    pub opaque: Opaque,
    /// Where the lower part of a renamed object lies.
    pub redirect: Option<Redirect>,
    /// Whether a file has attributes only, its data being that of the lower file.
    pub metacopy: bool,
    /// What it is a copy of; `None` for something made anew.
    pub origin: Option<Origin>,
    /// Whether a file of no bytes stands for "nothing here" (the form without device node; valid
    /// only in a directory with [`Opaque::HasWhiteouts`]).
    pub whiteout: bool,
    /// `FLAG_IMMUTABLE` and `FLAG_APPEND`, which the overlay keeps as an attribute.
    pub protection: u32,
    /// Everything else under the names the application gave.
    pub application: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The values of `trusted.overlay.opaque`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Opaque {
    /// Absent: the lower directory shows through.
    #[default]
    No,
    /// `y`: the lower directory is hidden.
    Yes,
    /// `x`: shows through, and may contain whiteouts that are regular files (Linux 6.7).
    HasWhiteouts,
}

/// The value of `trusted.overlay.redirect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// Another name in the lower directory of the parent.
    Sibling(RelPath),
    /// A path from the root of the lower layer.
    FromRoot(RelPath),
}

/// An attribute of the overlay with a value that the kernel does not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAttribute {
    /// `trusted.overlay.redirect` is no path.
    #[error("trusted.overlay.redirect")]
    Redirect(#[source] InvalidPath),
    /// `trusted.overlay.redirect` has several names and no leading slash.
    #[error("trusted.overlay.redirect is neither a name nor absolute: {0}")]
    RedirectForm(RelPath),
    /// `trusted.overlay.origin` is no file handle.
    #[error("trusted.overlay.origin of {bytes} bytes, version {version}")]
    Origin {
        /// Its length.
        bytes: usize,
        /// Its first byte.
        version: u8,
    },
    /// `trusted.overlay.protattr` has an unknown letter.
    #[error("trusted.overlay.protattr has the unknown flag {0:#04x}")]
    Protection(u8),
    /// `trusted.overlay.opaque` is neither `y` nor `x`.
    #[error("trusted.overlay.opaque is neither y nor x, {0} bytes")]
    Opaque(usize),
}

const OVERLAY: &[u8] = b"trusted.overlay.";
const ESCAPED: &[u8] = b"trusted.overlay.overlay.";

/// Whether the filesystem makes this attribute up itself, so that it is never recorded: xfs's
/// second view of the ACLs, and btrfs's properties, which are inode flags in other clothes.
pub fn is_volatile_name(name: &[u8]) -> bool {
    name.starts_with(b"trusted.SGI_ACL_") || name.starts_with(b"btrfs.")
}

impl Attributes {
    /// Sorts the attributes of one object.
    pub fn parse(
        all: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, InvalidAttribute> {
        let mut sorted = Self::default();
        for (name, value) in all {
            if is_volatile_name(&name) {
                continue;
            }
            if let Some(own) = name.strip_prefix(ESCAPED) {
                // Written inside the scratchpad as `trusted.overlay.X`.
                sorted.application.insert([OVERLAY, own].concat(), value);
            } else if let Some(own) = name.strip_prefix(OVERLAY) {
                sorted.take(own, &value)?;
            } else {
                sorted.application.insert(name, value);
            }
        }
        Ok(sorted)
    }

    /// Takes one attribute of the overlay's own. Unknown ones (`impure`, `nlink`, `uuid`, `upper`,
    /// and what later kernels add) say nothing about what changed.
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidAttribute> {
        match name {
            b"opaque" => self.opaque = parse_opaque(value)?,
            b"redirect" => self.redirect = Some(parse_redirect(value)?),
            b"metacopy" => self.metacopy = true,
            b"origin" => self.origin = Some(Origin::parse(value)?),
            b"whiteout" => self.whiteout = true,
            b"protattr" => self.protection = parse_protection(value)?,
            _ => {}
        }
        Ok(())
    }
}

fn parse_opaque(value: &[u8]) -> Result<Opaque, InvalidAttribute> {
    match value {
        b"y" => Ok(Opaque::Yes),
        b"x" => Ok(Opaque::HasWhiteouts),
        _ => Err(InvalidAttribute::Opaque(value.len())),
    }
}

fn parse_redirect(value: &[u8]) -> Result<Redirect, InvalidAttribute> {
    let path = |bytes: &[u8]| RelPath::new(bytes).map_err(InvalidAttribute::Redirect);
    match value.strip_prefix(b"/") {
        Some(rest) => Ok(Redirect::FromRoot(path(rest)?)),
        None => {
            let name = path(value)?;
            if name.depth() == 1 {
                Ok(Redirect::Sibling(name))
            } else {
                Err(InvalidAttribute::RedirectForm(name))
            }
        }
    }
}

fn parse_protection(value: &[u8]) -> Result<u32, InvalidAttribute> {
    value.iter().try_fold(0, |flags, letter| match letter {
        b'i' => Ok(flags | FLAG_IMMUTABLE),
        b'a' => Ok(flags | FLAG_APPEND),
        other => Err(InvalidAttribute::Protection(*other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(all: &[(&str, &[u8])]) -> Result<Attributes, InvalidAttribute> {
        Attributes::parse(all.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.to_vec())))
    }

    #[test]
    fn the_overlays_own_are_taken_and_the_applications_kept() {
        let found = parse(&[
            ("trusted.overlay.opaque", b"y"),
            ("trusted.overlay.impure", b"y"),
            ("trusted.overlay.protattr", b"ia"),
            ("trusted.overlay.overlay.opaque", b"mine"),
            ("trusted.SGI_ACL_FILE", b"acl"),
            ("btrfs.compression", b"zstd"),
            ("user.x", b"1"),
        ])
        .unwrap();
        assert_eq!(found.opaque, Opaque::Yes);
        assert_eq!(found.protection, FLAG_IMMUTABLE | FLAG_APPEND);
        let names: Vec<_> = found.application.keys().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"trusted.overlay.opaque"[..], b"user.x"]);
    }

    #[test]
    fn redirects_are_names_or_absolute_paths() {
        let redirect = |v: &[u8]| parse(&[("trusted.overlay.redirect", v)]).map(|a| a.redirect);
        let path = |p: &str| RelPath::new(p).unwrap();
        assert_eq!(redirect(b"d"), Ok(Some(Redirect::Sibling(path("d")))));
        assert_eq!(redirect(b"/a/b"), Ok(Some(Redirect::FromRoot(path("a/b")))));
        for hostile in [&b"../x"[..], b"/a/../b", b"a/b", b"", b"/a//b", b"x\0y"] {
            assert!(redirect(hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn unknown_letters_are_refused() {
        assert!(parse(&[("trusted.overlay.protattr", b"z")]).is_err());
        assert!(parse(&[("trusted.overlay.opaque", b"yes")]).is_err());
    }
}
