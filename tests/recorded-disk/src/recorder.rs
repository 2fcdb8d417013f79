//! A disk that remembers: a FUSE filesystem with one file a disk, which a loop device shows to the
//! kernel, and a log of each write and flush, in their order over all disks. Upholds: what the log
//! says up to a flush is on the medium for good, what comes after it may be there or not.
//! The loop driver passes flushes on as fsync, and the block layer makes one of each FUA write.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};

use crate::error::RigError;
use crate::medium::Medium;

/// How long the kernel may keep what it knows of the files: they never change.
const KEEP: Duration = Duration::from_secs(3600);

/// Inode numbers of the disks begin here; 1 is the directory.
const FIRST_DISK: u64 = 2;

/// One thing that happened, in its order.
#[derive(Debug, Clone)]
pub enum Event {
    /// Bytes came to the disk.
    Write {
        /// Which disk.
        disk: usize,
        /// Where on it, in bytes.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// All that came before is on the medium for good.
    Flush {
        /// Which disk.
        disk: usize,
    },
    /// A step of the workload has come to its end and said so.
    Mark(usize),
}

/// What the filesystem and its owner share.
#[derive(Debug)]
struct Shared {
    disks: Vec<Medium>,
    log: Vec<Event>,
}

/// The mounted disks. [`Recorder::end`] takes them away again.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Mutex<Shared>>,
    session: BackgroundSession,
    at: PathBuf,
}

impl Recorder {
    /// Mounts the disks at the directory `at`.
    ///
    /// # Errors
    /// If FUSE cannot be used.
    pub fn start(disks: Vec<Medium>, at: &Path) -> Result<Self, RigError> {
        let shared = Arc::new(Mutex::new(Shared {
            disks,
            log: Vec::new(),
        }));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("recorded-disk".to_owned())];
        let session = Session::new(Disks(Arc::clone(&shared)), at, &config)
            .and_then(Session::spawn)
            .map_err(|source| RigError::file(at, source))?;
        Ok(Self {
            shared,
            session,
            at: at.to_owned(),
        })
    }

    /// The file that is a disk.
    pub fn disk(&self, number: usize) -> PathBuf {
        self.at.join(format!("disk{number}"))
    }

    /// Notes that a step was acknowledged.
    pub fn mark(&self, step: usize) {
        lock(&self.shared).log.push(Event::Mark(step));
    }

    /// Takes the log as it is now: the moment of the cut.
    pub fn cut(&self) -> Vec<Event> {
        std::mem::take(&mut lock(&self.shared).log)
    }

    /// Unmounts. No loop device may show a disk any more: the unmount would fail, and the session
    /// would wait for ever.
    ///
    /// # Errors
    /// If it cannot be unmounted.
    pub fn end(self) -> Result<(), RigError> {
        let ended = self.session.umount_and_join();
        ended.map_err(|source| RigError::file(&self.at, source))
    }
}

/// A thread that panicked has not left the log in a worse state than it was in.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The filesystem that the kernel sees.
struct Disks(Arc<Mutex<Shared>>);

impl Disks {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let disk = disk_of(inode);
        let size = disk.and_then(|n| lock(&self.0).disks.get(n).map(Medium::size));
        let (kind, perm) = match disk {
            Some(_) => (FileType::RegularFile, 0o600),
            None => (FileType::Directory, 0o700),
        };
        FileAttr {
            ino: inode,
            size: size.unwrap_or(0),
            blocks: size.unwrap_or(0) / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// Which disk an inode stands for; none for the directory.
fn disk_of(inode: INodeNo) -> Option<usize> {
    let number = u64::from(inode).checked_sub(FIRST_DISK)?;
    usize::try_from(number).ok()
}

#[allow(
    clippy::too_many_arguments,
    reason = "the trait of the library says what is handed over"
)]
impl Filesystem for Disks {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.strip_prefix("disk"));
        let number = number.and_then(|digits| digits.parse::<usize>().ok());
        match number.filter(|n| *n < lock(&self.0).disks.len()) {
            Some(number) => {
                let inode = INodeNo(FIRST_DISK + number as u64);
                reply.entry(&KEEP, &self.attributes(inode), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&KEEP, &self.attributes(inode));
    }

    /// Times and modes are not kept; the size never changes.
    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&KEEP, &self.attributes(inode));
    }

    /// Without the page cache in between: each write comes here at once.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let shared = lock(&self.0);
        match disk_of(inode).and_then(|number| shared.disks.get(number)) {
            Some(disk) => reply.data(&disk.read(offset, size as usize)),
            None => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut shared = lock(&self.0);
        let Some(number) = disk_of(inode).filter(|number| *number < shared.disks.len()) else {
            return reply.error(Errno::EISDIR);
        };
        shared.disks[number].write(offset, data);
        shared.log.push(Event::Write {
            disk: number,
            offset,
            data: data.into(),
        });
        // What the kernel hands over at once is at most some megabytes.
        reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if let Some(disk) = disk_of(inode) {
            lock(&self.0).log.push(Event::Flush { disk });
        }
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
