//! Names for the inodes of upper layers that hold over several looks. Not for live ones, which no
//! entry of a preview touches. Upholds: two looks give the same name to the same object only.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use crate::sys::inspect::{FileHandle, file_handle};

/// What inodes were called so far. A filesystem may give the number of a removed inode to the next
/// one that it makes, but never its handle (name_to_handle_at(2)).
pub(super) struct Inodes {
    /// By volume and number: the inode that had it last, and what that one is called.
    called: Option<HashMap<(usize, u64), (FileHandle, u64)>>,
    next: u64,
}

impl Inodes {
    /// For several looks.
    pub(super) fn new() -> Self {
        Self {
            called: Some(HashMap::new()),
            next: 1,
        }
    }

    /// For a single look, in which numbers are as good: saves a system call for every object.
    pub(super) const fn of_one_look() -> Self {
        Self {
            called: None,
            next: 1,
        }
    }

    /// What the inode of this number is called, whose name in `dir` is given; never 0.
    pub(super) fn called(
        &mut self,
        (volume, ino): (usize, u64),
        dir: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<u64, Errno> {
        let Some(called) = &mut self.called else {
            return Ok(ino);
        };
        let handle = match file_handle(dir, name) {
            // No handles on this filesystem: the number is all there is to go by.
            Err(Errno::EOPNOTSUPP) => FileHandle {
                kind: 0,
                bytes: Vec::new(),
            },
            other => other?,
        };
        match called.get(&(volume, ino)) {
            Some((known, id)) if *known == handle => Ok(*id),
            Some(_) | None => {
                let id = self.next;
                self.next += 1;
                called.insert((volume, ino), (handle, id));
                Ok(id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_number_that_is_given_again_names_another_inode() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one"), "").unwrap();
        fs::write(directory.path().join("other"), "").unwrap();
        fs::hard_link(directory.path().join("one"), directory.path().join("link")).unwrap();
        let dir = File::open(directory.path()).unwrap();
        let mut inodes = Inodes::new();
        let mut called = |number, name| inodes.called(number, dir.as_fd(), name).unwrap();
        let one = called((0, 5), c"one");
        assert_eq!(called((0, 5), c"link"), one);
        assert_ne!(called((1, 5), c"one"), one, "a number is a volume's own");
        assert_ne!(called((0, 5), c"other"), one);
        let mut single = Inodes::of_one_look();
        assert_eq!(single.called((0, 5), dir.as_fd(), c"none"), Ok(5));
    }
}
