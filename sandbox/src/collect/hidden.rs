//! Lists what was in live directories that do not show any more.

use nix::errno::Errno;

use super::CollectError;
use super::item::Role;
use super::walk::Walk;
use crate::change::RelPath;

/// A live directory that does not show any more.
pub(super) struct Hidden {
    /// Where it was shown, below the live root.
    pub(super) path: RelPath,
    /// Where it lies, below the volume.
    pub(super) live: RelPath,
    /// The live directory, below the volume, that a rename put in its place.
    pub(super) shown_instead: Option<RelPath>,
}

impl Walk<'_> {
    /// Adds an item for everything in the hidden directories that was not made anew. Runs when
    /// every upper layer was read: what was renamed as a whole went along with its directory.
    pub(super) fn list_hidden(&mut self) -> Result<(), CollectError> {
        while let Some(hidden) = self.hidden.pop() {
            if self.found.moved.contains(&self.absolute(&hidden.live)?) {
                continue;
            }
            let names = match self.live.names(&hidden.live) {
                Ok(names) => names,
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                Err(errno) => return Err(self.live.failed("list", &hidden.live, errno)),
            };
            for name in names {
                self.hidden_entry(&hidden, name.to_bytes())?;
            }
        }
        Ok(())
    }

    fn hidden_entry(&mut self, hidden: &Hidden, name: &[u8]) -> Result<(), CollectError> {
        let child = |of: &RelPath| of.child(name);
        let path = child(&hidden.path).map_err(|e| self.bad_path(&hidden.path, e))?;
        let live_path = child(&hidden.live).map_err(|e| self.bad_path(&hidden.live, e))?;
        let instead = match &hidden.shown_instead {
            Some(directory) => Some(child(directory).map_err(|e| self.bad_path(directory, e))?),
            None => None,
        };
        let live_absolute = self.absolute(&live_path)?;
        if self.masks.contains(&live_absolute) {
            return Ok(());
        }
        let Some(live) = self.live_at(&live_path)? else {
            return Ok(());
        };
        let shown = match &instead {
            Some(other) => self.live_at(other)?.is_some(),
            None => false,
        };
        if live.is_directory() {
            self.hidden.push(Hidden {
                path: path.clone(),
                live: live_path.clone(),
                shown_instead: match self.found.items.get(&path) {
                    // Made anew, or another live directory shows through.
                    Some(item) => match item.role {
                        Role::Merged => item.live_path.strip_prefix(self.mount_point),
                        _ => None,
                    },
                    None => instead.filter(|_| shown),
                },
            });
        }
        let holds_mask = self.masks.iter().any(|m| m.starts_with(&live_absolute));
        if !shown && !holds_mask && !self.found.items.contains_key(&path) {
            let item = self.gone(&live_path, &live)?;
            self.insert(path, item);
        } else {
            self.found.covered.push((self.volume, live_absolute));
        }
        Ok(())
    }
}
