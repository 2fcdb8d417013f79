//! Where the live objects lie that renamed ones are, by the overlay's redirects. Upholds: a redirect
//! is a path below the volume, whoever wrote it.

use super::CollectError;
use super::object::Object;
use super::walk::{Here, Walk};
use crate::change::RelPath;
use crate::upper::Redirect;

impl Walk<'_> {
    /// The live object at [`Self::place_of`]; `None` when nothing is there.
    pub(super) fn lower_of(
        &mut self,
        here: &Here<'_>,
        redirect: &Redirect,
    ) -> Result<Option<(RelPath, Object)>, CollectError> {
        match self.place_of(here, redirect)? {
            Some(path) => Ok(self.live_at(&path)?.map(|object| (path, object))),
            None => Ok(None),
        }
    }

    /// The path, below the volume, that a redirect names; `None` when that is the object's own
    /// place.
    pub(super) fn place_of(
        &self,
        here: &Here<'_>,
        redirect: &Redirect,
    ) -> Result<Option<RelPath>, CollectError> {
        let own = here.live.as_ref();
        let path = match redirect {
            Redirect::FromRoot(path) => path.clone(),
            Redirect::Sibling(name) => match own.and_then(|place| place.path.parent()) {
                Some(parent) => parent
                    .join(name)
                    .map_err(|e| self.bad_path(&here.upper, e))?,
                None => return Ok(None),
            },
        };
        let is_own = own.is_some_and(|place| place.shows && place.path == path);
        Ok((!is_own).then_some(path))
    }
}
