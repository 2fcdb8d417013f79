//! What machines are made of: a root, a kernel and a bootable disk for each release, built once and
//! kept below `target/vm-tests`. Not for running them. Upholds: what is kept is used only if
//! everything that went in is still the same.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::release::Release;
use crate::tool::{self, ToolError};

const ROOT_RECIPE: &str = include_str!("../recipes/root.sh");
const KERNEL_RECIPE: &str = include_str!("../recipes/kernel.sh");
const IMAGE_RECIPE: &str = include_str!("../recipes/image.sh");

/// Why a supply could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// A file of the store of supplies could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A recipe failed.
    #[error("cannot make {what}")]
    Recipe {
        /// What it should have made.
        what: String,
        /// Why.
        #[source]
        cause: ToolError,
    },
}

/// What one machine boots from. The disk is to be copied, never booted from.
#[derive(Clone, Debug)]
pub struct Supplies {
    /// The kernel.
    pub kernel: PathBuf,
    /// An ext4 file system without a partition table.
    pub disk: PathBuf,
}

/// The store of supplies. Threads may ask at once; the first one looks whether all is up to date.
#[derive(Debug)]
pub struct Store {
    bookworm: Mutex<Option<Supplies>>,
    trixie: Mutex<Option<Supplies>>,
    folder: PathBuf,
    agent: PathBuf,
    isconf: PathBuf,
}

impl Store {
    /// Opens the store in `folder`; `agent` and `isconf` are the programs that go into the disks.
    pub fn open(folder: &Path, agent: &Path, isconf: &Path) -> Result<Self, SupplyError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        Ok(Self {
            bookworm: Mutex::new(None),
            trixie: Mutex::new(None),
            folder: folder.to_owned(),
            agent: agent.to_owned(),
            isconf: isconf.to_owned(),
        })
    }

    /// Returns what a machine of this release boots from.
    pub fn of(&self, release: Release) -> Result<Supplies, SupplyError> {
        let found = match release {
            Release::Bookworm => &self.bookworm,
            Release::Trixie => &self.trixie,
        };
        // Who panicked in there left what was found before.
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(supplies) = &*found {
            return Ok(supplies.clone());
        }
        Ok(found.insert(self.make(release)?).clone())
    }

    /// Makes what is missing or out of date.
    fn make(&self, release: Release) -> Result<Supplies, SupplyError> {
        let suite = release.suite();
        let root = self.folder.join(format!("{suite}.tar"));
        let kernel = self.folder.join(format!("{suite}.kernel"));
        let disk = self.folder.join(format!("{suite}.raw"));
        let words = |paths: &[&Path]| -> Vec<PathBuf> {
            paths.iter().map(|path| (*path).to_owned()).collect()
        };
        let key = format!("{suite}\n{ROOT_RECIPE}");
        self.keep(&root, &key, ROOT_RECIPE, &words(&[suite.as_ref(), &root]))?;
        let key = format!("{suite}\n{KERNEL_RECIPE}");
        let arguments = words(&[suite.as_ref(), &kernel]);
        self.keep(&kernel, &key, KERNEL_RECIPE, &arguments)?;
        let arguments = words(&[&root, &kernel, &self.agent, &self.isconf, &disk]);
        let mut key = IMAGE_RECIPE.to_owned();
        for input in [&root, &kernel.join("vmlinuz"), &self.agent, &self.isconf] {
            key.push_str(&print_of(input)?);
        }
        self.keep(&disk, &key, IMAGE_RECIPE, &arguments)?;
        Ok(Supplies {
            kernel: kernel.join("vmlinuz"),
            disk,
        })
    }

    /// Makes `product` by a recipe unless it was made from the same `key`.
    fn keep(
        &self,
        product: &Path,
        key: &str,
        recipe: &str,
        arguments: &[PathBuf],
    ) -> Result<(), SupplyError> {
        let mut stamp = product.as_os_str().to_owned();
        stamp.push(".key");
        let stamp = PathBuf::from(stamp);
        let is_current = fs::read_to_string(&stamp).is_ok_and(|kept| kept == key);
        if is_current && product.exists() {
            return Ok(());
        }
        // The stamp goes first: a recipe that is interrupted leaves nothing that looks finished.
        match fs::remove_file(&stamp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&stamp)(error)),
            // Gone, or never there.
            Ok(()) | Err(_) => {}
        }
        let mut words: Vec<&OsStr> = vec!["-c".as_ref(), recipe.as_ref(), "recipe".as_ref()];
        words.extend(arguments.iter().map(|path| path.as_os_str()));
        tool::run("/bin/sh".as_ref(), &words, 900).map_err(|cause| SupplyError::Recipe {
            what: product.display().to_string(),
            cause,
        })?;
        fs::write(&stamp, key).map_err(at(&stamp))
    }
}

/// Tells one state of a file from another without reading it: length, time of change, inode.
fn print_of(path: &Path) -> Result<String, SupplyError> {
    let file = fs::metadata(path).map_err(at(path))?;
    Ok(format!(
        "{} {} {} {} {}\n",
        path.display(),
        file.len(),
        file.ino(),
        file.mtime(),
        file.mtime_nsec()
    ))
}

/// Says which file an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> SupplyError {
    let path = path.to_owned();
    move |cause| SupplyError::File { path, cause }
}
