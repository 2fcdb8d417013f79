//! The Debian root that hosts start from: built once by mmdebstrap, kept as a base image for each
//! filesystem below the build directory, by suite and list of packages, so that another list is
//! another root. Not for changing a root: every host has a copy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The filesystem that carries a Debian host's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// ext4, mounted so that it hides no missing sync before a rename.
    Ext4,
    /// xfs.
    Xfs,
    /// btrfs.
    Btrfs,
}

/// The size of a disk; what nobody wrote takes no room.
const SIZE: &str = "2G";

/// A Debian root, by what it is made of.
#[derive(Debug, Clone)]
pub struct DebianRoot {
    suite: &'static str,
    packages: &'static [&'static str],
    fill: String,
}

impl Disk {
    /// Every filesystem.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// Returns its name as mount(8) wants it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

impl DebianRoot {
    /// The root of the usual host: Debian 12 with systemd, and no kernel.
    pub fn bookworm() -> Self {
        Self {
            suite: "bookworm",
            packages: &["systemd-sysv", "udev", "dbus", "iproute2", "kmod"],
            // A program, since mmdebstrap starts a hook of one word without a shell.
            fill: "true".to_owned(),
        }
    }

    /// The same with further packages.
    #[must_use]
    pub fn packages(mut self, packages: &'static [&'static str]) -> Self {
        self.packages = packages;
        self
    }

    /// The same filled by a script of sh: a hook of mmdebstrap (see there), with the root as its
    /// argument, and with the network, which hosts do not have.
    #[must_use]
    pub fn filled_by(mut self, script: &str) -> Self {
        script.clone_into(&mut self.fill);
        self
    }

    /// Returns the base image for a filesystem, built if it is not there yet. Takes a minute or two
    /// the first time, and nothing later; tests that want it meanwhile wait.
    pub fn image(&self, disk: Disk) -> PathBuf {
        let cache = self.cache();
        fs::create_dir_all(&cache).expect("the cache can be made");
        let lock = File::create(cache.join("lock")).expect("the cache can be locked");
        lock.lock().expect("the cache can be locked");
        let image = cache.join(format!("base.{}", disk.name()));
        if !image.exists() {
            self.build(&cache, disk);
        }
        image
    }

    /// Builds; the whole of it ends with this thread, and leaves only what is complete.
    fn build(&self, cache: &Path, disk: Disk) {
        let output = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", "-c", include_str!("build.sh"), "build"])
            .arg(cache)
            .args([disk.name(), SIZE, self.suite, &self.packages.join(",")])
            .arg(&self.fill)
            .output()
            .expect("the build can be started");
        assert!(
            output.status.success(),
            "no Debian root: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Returns the directory of this suite, these packages, and this way of building.
    fn cache(&self) -> PathBuf {
        let key = format!(
            "{} {SIZE} {} {} {}",
            self.suite,
            self.packages.join(","),
            self.fill,
            include_str!("build.sh")
        );
        let digest = Sha256::digest(key);
        let name: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("debian")
            .join(format!("{}-{name}", self.suite))
    }
}
