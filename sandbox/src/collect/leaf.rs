//! What is not a directory in an upper layer: files with and without their data, links, pipes,
//! sockets, devices.

use nix::errno::Errno;

use super::CollectError;
use super::item::{Elsewhere, Item, Role};
use super::meanwhile::Stranded;
use super::object::Object;
use super::orphan::Stray;
use super::walk::{Here, Leaf, Side, Walk};
use crate::change::{Content, Digest, Kind, Node, RelPath};
use crate::sys::inspect;
use crate::upper::Origin;

/// Files whose length changed are hashed as they were, too, up to this length: for the report. That
/// they changed is known without.
pub(super) const HASHED_BEFORE_BYTES: u64 = 64 * 1024 * 1024;

impl Walk<'_> {
    pub(super) fn found_leaf(&mut self, here: &Here<'_>, leaf: Leaf) -> Result<(), CollectError> {
        if let (Some(place), Some(live)) = (&here.live, &leaf.live) {
            self.hide(here, place, live, None);
        }
        let item = if leaf.attributes.metacopy {
            self.stub(here, &leaf)?
        } else {
            self.whole_leaf(here, &leaf)?
        };
        self.insert(here.path.clone(), item);
        Ok(())
    }

    /// A file that has attributes only.
    fn stub(&mut self, here: &Here<'_>, leaf: &Leaf) -> Result<Item, CollectError> {
        let elsewhere = match &leaf.attributes.redirect {
            Some(redirect) => self.lower_of(here, redirect)?,
            None => None,
        };
        // All names of an inode share the redirect that one of them got when it was renamed.
        let shows = here.live.as_ref().is_some_and(|place| place.shows);
        let own = leaf.live.as_ref().filter(|_| shows);
        let own = own.map(|live| live.stat.st_ino);
        let elsewhere = elsewhere.filter(|(_, live)| own != Some(live.stat.st_ino));
        if let Some((data, live)) = elsewhere {
            let data = self.absolute(&data)?;
            let node = live.live_node();
            let before = leaf.live.as_ref().map(Object::live_node);
            let copy_of = Some(node.clone());
            let role = Role::Elsewhere(Box::new(Elsewhere {
                data,
                node,
                live: live.identity(),
                rewritten: false,
            }));
            return self.stub_item(here, leaf, (before, copy_of.as_ref()), role);
        }
        // Without a handle the name is all there is to go by.
        let is_other = shows
            && matches!(leaf.attributes.origin, Some(Origin::Handle(_)))
            && self.origin(here, leaf)?.is_none();
        match (&here.live, &leaf.live) {
            (Some(place), Some(live)) if matches!(live.kind, Kind::File { .. }) && !is_other => {
                let role = Role::LiveData {
                    data: self.absolute(&place.path)?,
                    ino: live.stat.st_ino,
                };
                let before = live.live_node();
                self.stub_item(here, leaf, (Some(before.clone()), Some(&before)), role)
            }
            _ => self.stub_without_data(here, leaf),
        }
    }

    /// A file that has attributes only, and whose live file somebody else moved, removed or
    /// replaced: a conflict, so that nobody takes it for a file of nothing but holes.
    fn stub_without_data(&mut self, here: &Here<'_>, leaf: &Leaf) -> Result<Item, CollectError> {
        let redirected = match &leaf.attributes.redirect {
            Some(redirect) => self.place_of(here, redirect)?,
            None => None,
        };
        let (path, found) = match redirected {
            Some(path) => (self.absolute(&path)?, None),
            None => (here.path.clone(), leaf.live.as_ref().map(Object::identity)),
        };
        self.found.gone.push(Stranded {
            path,
            kind: leaf.object.kind.clone(),
            found,
        });
        let before = leaf.live.as_ref().map(Object::live_node);
        self.item(here, leaf, (before, None), Role::Whole { origin: None })
    }

    fn stub_item(
        &mut self,
        here: &Here<'_>,
        leaf: &Leaf,
        states: (Option<Node>, Option<&Node>),
        role: Role,
    ) -> Result<Item, CollectError> {
        let live = states.1;
        let mut item = self.item(here, leaf, states, role)?;
        if let (Some(after), Some(live)) = (&mut item.after, live) {
            set_holes(after, live);
        }
        Ok(item)
    }

    /// A file with all its data, or a link, pipe, socket or device.
    fn whole_leaf(&mut self, here: &Here<'_>, leaf: &Leaf) -> Result<Item, CollectError> {
        let origin = self.origin(here, leaf)?;
        let before = leaf.live.as_ref().map(Object::live_node);
        let copy_of = origin.and(before.clone());
        let before_kind = before.as_ref().map(|node| node.kind.clone());
        let role = Role::Whole { origin };
        let mut item = self.item(here, leaf, (before, copy_of.as_ref()), role)?;
        let Some(Node {
            kind: Kind::File { size, content, .. },
            ..
        }) = &mut item.after
        else {
            self.note_stray(here, &leaf.attributes.origin, origin, None);
            let same = before_kind.as_ref() == item.after.as_ref().map(|node| &node.kind);
            if let (true, Some(ino), Some(place)) = (same, origin, &here.live) {
                item.role = Role::LiveData {
                    data: self.absolute(&place.path)?,
                    ino,
                };
            }
            return Ok(item);
        };
        let digest = self.digest(Side::Upper, &here.upper, &leaf.object)?;
        *content = Content::Read(digest);
        let new_size = *size;
        if origin.is_none()
            && let Some(other) = self.renamed_whole(here, leaf, new_size, digest)?
        {
            item.role = Role::Elsewhere(Box::new(other));
            return Ok(item);
        }
        self.note_stray(here, &leaf.attributes.origin, origin, Some(digest));
        let Some(Node {
            kind: Kind::File { size, content, .. },
            ..
        }) = &mut item.before
        else {
            return Ok(item);
        };
        let (Some(place), Some(live)) = (&here.live, &leaf.live) else {
            return Ok(item);
        };
        if *size == new_size || *size <= HASHED_BEFORE_BYTES {
            let before = self.digest(Side::Live, &place.path, live)?;
            *content = Content::Read(before);
            if let (true, Some(ino)) = (before == digest, origin) {
                item.role = Role::LiveData {
                    data: self.absolute(&place.path)?,
                    ino,
                };
            }
        }
        Ok(item)
    }

    /// Remembers a copy of a live object that is not at the same place.
    fn note_stray(
        &mut self,
        here: &Here<'_>,
        attribute: &Option<Origin>,
        found: Option<u64>,
        digest: Option<Digest>,
    ) {
        if let (None, Some(Origin::Handle(handle))) = (found, attribute) {
            self.strays.push(Stray {
                path: here.path.clone(),
                origin: handle.clone(),
                digest,
            });
        }
    }

    /// The live file that a file with all its data was renamed from, or is one more name of, when
    /// that has to be known: its data is still the same, or the inode has other names to share it
    /// with. It was written after; what was written first has no redirect, and is new.
    fn renamed_whole(
        &mut self,
        here: &Here<'_>,
        leaf: &Leaf,
        size: u64,
        digest: Digest,
    ) -> Result<Option<Elsewhere>, CollectError> {
        let (Some(redirect), Some(_)) = (&leaf.attributes.redirect, &leaf.attributes.origin) else {
            return Ok(None);
        };
        let Some((path, live)) = self.lower_of(here, redirect)? else {
            return Ok(None);
        };
        let Kind::File { size: old_size, .. } = live.kind else {
            return Ok(None);
        };
        let same = old_size == size && self.digest(Side::Live, &path, &live)? == digest;
        if !same && live.stat.st_nlink < 2 {
            return Ok(None);
        }
        Ok(Some(Elsewhere {
            data: self.absolute(&path)?,
            node: live.live_node(),
            live: live.identity(),
            rewritten: !same,
        }))
    }

    /// The live inode at the same place, if the upper object is a modified copy of it.
    fn origin(&self, here: &Here<'_>, leaf: &Leaf) -> Result<Option<u64>, CollectError> {
        let (Some(origin), Some(dir), Some(live)) =
            (&leaf.attributes.origin, here.live_dir, &leaf.live)
        else {
            return Ok(None);
        };
        if !here.live.as_ref().is_some_and(|p| p.shows)
            || std::mem::discriminant(&live.kind) != std::mem::discriminant(&leaf.object.kind)
        {
            return Ok(None);
        }
        match inspect::file_handle(dir, here.name) {
            Ok(handle) => Ok(origin.matches(&handle).then_some(live.stat.st_ino)),
            Err(Errno::ENOENT) => Ok(None),
            // No handles here: the same name is all there is to go by.
            Err(Errno::EOPNOTSUPP) => Ok(Some(live.stat.st_ino)),
            Err(errno) => Err(self.live.failed("get the handle of", &here.upper, errno)),
        }
    }

    pub(super) fn digest(
        &mut self,
        side: Side,
        path: &RelPath,
        object: &Object,
    ) -> Result<Digest, CollectError> {
        let key = (side, self.volume, object.stat.st_ino);
        let mut identity = object.identity();
        identity.nlink = 0; // One more name does not change the content.
        if let Some((known, digest)) = self.digests.get(&key)
            && *known == identity
        {
            return Ok(*digest);
        }
        let tree = match side {
            Side::Upper => &self.upper,
            Side::Live => &self.live,
        };
        let digest = self.reader.digest(object);
        let digest = digest.map_err(|f| tree.failed(f.operation, path, f.errno))?;
        self.digests.insert(key, (identity, digest));
        Ok(digest)
    }
}

/// A stub has no data, so its holes say nothing; the live file's do.
pub(super) fn set_holes(stub: &mut Node, live: &Node) {
    if let (
        Kind::File {
            hole_bytes: own, ..
        },
        Kind::File { hole_bytes, .. },
    ) = (&mut stub.kind, &live.kind)
    {
        *own = *hole_bytes;
    }
}
