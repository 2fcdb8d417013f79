//! A throwaway host with isconf and this very program in it, so that what is timed is not the way
//! into the host. Not for deciding what to measure.

use std::time::Duration;

use isconf::tour::{Host, HostCommand, HostSpec, RootKind};

use crate::Error;
use crate::driver::INSIDE;
use crate::series::Series;

/// Where this program is seen in the host.
pub const DRIVER: &str = "/opt/figures";

/// The longest that one measurement may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// What carries a host's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// An ext4 image on the disk that holds the build directory: syncs cost what they cost.
    Disk,
    /// An ext4 image in memory.
    Memory,
    /// The same with xfs.
    XfsDisk,
    /// The same with btrfs.
    BtrfsDisk,
    /// No disk format at all: for journals that take a sync a record to make.
    Tmpfs,
}

/// The host.
pub struct BenchHost {
    host: Host,
}

impl BenchHost {
    /// A host without a domain.
    pub fn bare(name: &str, medium: Medium) -> Result<Self, Error> {
        let spec = HostSpec::new(name)
            .program(env!("CARGO_BIN_EXE_isconf"))
            .size(8 << 30);
        let on_disk = |kind| {
            spec.clone()
                .root(kind)
                .images_in(env!("CARGO_TARGET_TMPDIR"))
        };
        let spec = match medium {
            Medium::Disk => on_disk(RootKind::Ext4),
            Medium::XfsDisk => on_disk(RootKind::Xfs),
            Medium::BtrfsDisk => on_disk(RootKind::Btrfs),
            Medium::Memory => spec,
            Medium::Tmpfs => spec.root(RootKind::Tmpfs),
        };
        let host = Host::start(spec)?;
        let this = std::fs::read(std::env::current_exe()?)?;
        host.write(DRIVER, this)?;
        host.sh(format!("chmod 755 {DRIVER}"))?;
        Ok(Self { host })
    }

    /// A host of a domain with a key, its branch locked.
    pub fn locked(name: &str, medium: Medium) -> Result<Self, Error> {
        let bench = Self::bare(name, medium)?;
        bench.sh(
            "isconf init example.com && echo a-key-of-the-benchmark >/var/is/conf/hmac_keys && \
             chmod 600 /var/is/conf/hmac_keys && isconf lock measuring",
        )?;
        Ok(bench)
    }

    /// The host itself.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether a program is installed.
    pub fn has(&self, program: &str) -> bool {
        let found = self.host.sh(format!("command -v {program}"));
        if found.is_err() {
            eprintln!("  no {program} here: not compared with it");
        }
        found.is_ok()
    }

    /// Runs a line of shell that must succeed; gives its standard output.
    pub fn sh(&self, line: &str) -> Result<String, Error> {
        Ok(self.host.shell(line).timeout(LIMIT).ok()?.out())
    }

    /// Runs this program inside; gives the columns of numbers that it prints.
    pub fn drive<const N: usize>(&self, words: &[&str]) -> Result<[Series; N], Error> {
        let words = [DRIVER, INSIDE].iter().chain(words);
        let command: HostCommand = self.host.command(words).timeout(LIMIT);
        let text = command.ok()?.out();
        let mut columns = std::array::from_fn(|_| Series::default());
        for line in text.lines() {
            for (column, word) in columns.iter_mut().zip(line.split(' ')) {
                column.push(word.parse()?);
            }
        }
        Ok(columns)
    }
}
