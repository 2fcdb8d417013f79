//! Random trees, and random work on them, done as it would be natively.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::disk::{Body, Disk, LIVE};
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, Metadata, RelPath, Timestamp};

/// A path, chosen among those that there are when it is used.
#[derive(Debug, Clone)]
pub enum Spot {
    /// One of the paths, whatever is there.
    Any(usize),
    /// A name in one of the directories, taken or not.
    In(usize, Vec<u8>),
    /// This one.
    At(RelPath),
}

/// A path by its text.
pub fn at(path: &str) -> Spot {
    Spot::At(RelPath::new(path).unwrap())
}

/// One thing that a command does. What makes no sense at its time fails, as it would natively;
/// nothing is done then.
#[derive(Debug, Clone)]
pub enum Work<Path = Spot> {
    Write(Path),
    WriteOver(Path),
    Make(Path, usize),
    Remove(Path),
    Move(Path, Path),
    Exchange(Path, Path),
    Link(Path, Path),
    Mode(Path, u32),
    Attribute(Path, u8),
    Time(Path, i64),
    Lock(Path, u32),
}

impl Work {
    fn on(&self, disk: &Disk) -> Option<Work<RelPath>> {
        let spot = |spot: &Spot| disk.spot(spot);
        Some(match self {
            Self::Write(a) => Work::Write(spot(a)?),
            Self::WriteOver(a) => Work::WriteOver(spot(a)?),
            Self::Make(a, kind) => Work::Make(spot(a)?, *kind),
            Self::Remove(a) => Work::Remove(spot(a)?),
            Self::Move(a, b) => Work::Move(spot(a)?, spot(b)?),
            Self::Exchange(a, b) => Work::Exchange(spot(a)?, spot(b)?),
            Self::Link(a, b) => Work::Link(spot(a)?, spot(b)?),
            Self::Mode(a, mode) => Work::Mode(spot(a)?, *mode),
            Self::Attribute(a, value) => Work::Attribute(spot(a)?, *value),
            Self::Time(a, secs) => Work::Time(spot(a)?, *secs),
            Self::Lock(a, flags) => Work::Lock(spot(a)?, *flags),
        })
    }
}

/// Few names, some nasty, so that they meet.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(b"a".to_vec()),
        4 => Just(b"b".to_vec()),
        3 => Just(b"c\n ".to_vec()),
        1 => Just(vec![0xff, b'\\']),
        1 => Just(vec![b'n'; 9]),
    ]
}

fn old() -> impl Strategy<Value = Spot> {
    any::<usize>().prop_map(Spot::Any)
}

fn new() -> impl Strategy<Value = Spot> {
    (any::<usize>(), name()).prop_map(|(n, name)| Spot::In(n, name))
}

fn either() -> impl Strategy<Value = Spot> {
    prop_oneof![1 => old(), 2 => new()]
}

fn lock() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, FLAG_IMMUTABLE, FLAG_APPEND, 0])
}

/// Work that makes some of everything; run first, to have a tree to change.
pub fn setup() -> impl Strategy<Value = Vec<Work>> {
    let one = prop_oneof![
        5 => new().prop_map(|p| Work::Make(p, 0)),
        5 => new().prop_map(|p| Work::Make(p, 1)),
        1 => (new(), 2..4usize).prop_map(|(p, kind)| Work::Make(p, kind)),
        3 => (old(), new()).prop_map(|(a, b)| Work::Link(a, b)),
        1 => (old(), 0..0o7777u32).prop_map(|(p, mode)| Work::Mode(p, mode)),
    ];
    let locks = prop::collection::vec((old(), lock()).prop_map(|(p, l)| Work::Lock(p, l)), 0..2);
    (prop::collection::vec(one, 5..30), locks).prop_map(|(mut all, locks)| {
        all.extend(locks);
        all
    })
}

/// The work of an entry.
pub fn entry() -> impl Strategy<Value = Vec<Work>> {
    let one = prop_oneof![
        4 => old().prop_map(Work::Write),
        2 => old().prop_map(Work::WriteOver),
        5 => (new(), 0..4usize).prop_map(|(p, kind)| Work::Make(p, kind)),
        5 => old().prop_map(Work::Remove),
        9 => (old(), either()).prop_map(|(a, b)| Work::Move(a, b)),
        3 => (old(), old()).prop_map(|(a, b)| Work::Exchange(a, b)),
        4 => (old(), new()).prop_map(|(a, b)| Work::Link(a, b)),
        2 => (old(), 0..0o7777u32).prop_map(|(p, mode)| Work::Mode(p, mode)),
        1 => (old(), any::<u8>()).prop_map(|(p, x)| Work::Attribute(p, x)),
        1 => (old(), 0..1000i64).prop_map(|(p, t)| Work::Time(p, t)),
        2 => (old(), lock()).prop_map(|(p, l)| Work::Lock(p, l)),
    ];
    prop::collection::vec(one, 1..12)
}

impl Disk {
    /// Does all that can be done; gives what was.
    pub fn work(&mut self, all: &[Work]) -> Vec<Work<RelPath>> {
        let mut done = Vec::new();
        for work in all {
            let mut copy = self.clone();
            if let Some(work) = work.on(self)
                && copy.try_work(&work).is_some()
            {
                *self = copy;
                done.push(work);
            }
        }
        done
    }

    fn fresh_meta(&mut self) -> Metadata {
        self.clock += 1;
        Metadata {
            mode: 0o640,
            mtime: Timestamp {
                secs: self.clock,
                nanos: 7,
            },
            ..Metadata::default()
        }
    }

    /// Does it; `None`, perhaps half done, where something refuses.
    pub fn try_work(&mut self, work: &Work<RelPath>) -> Option<()> {
        match work {
            Work::Write(path) => {
                let ino = self.at(LIVE, path)?;
                let Body::File(bytes) = &self.inode(ino).body else {
                    return None;
                };
                let bytes = [bytes.as_slice(), b"+"].concat();
                self.write(ino, bytes).ok()
            }
            Work::WriteOver(path) => {
                let aside = RelPath::new("aside").ok()?;
                self.make_some(&aside, 0)?;
                self.rename_over(&aside, path)
            }
            Work::Make(path, kind) => self.make_some(path, *kind),
            Work::Remove(path) => self.remove_all(path),
            Work::Move(from, to) => self.rename_over(from, to),
            Work::Exchange(a, b) => {
                let same = self.at(LIVE, a)? == self.at(LIVE, b)?;
                if same {
                    return None;
                }
                self.exchange((LIVE, a), (LIVE, b)).ok()
            }
            Work::Link(a, b) => self.link((LIVE, a), (LIVE, b)).ok(),
            Work::Mode(path, mode) => self.alter(path, |meta| meta.mode = *mode),
            Work::Attribute(path, value) => self.alter(path, |meta| {
                meta.xattrs.insert(b"user.x".to_vec(), vec![*value]);
            }),
            Work::Time(path, secs) => self.alter(path, |meta| meta.mtime.secs = *secs),
            Work::Lock(path, flags) => {
                let ino = self.at(LIVE, path)?;
                let inode = self.inode(ino);
                if !matches!(inode.body, Body::File(_) | Body::Directory(_)) {
                    return None;
                }
                let mut meta = inode.meta.clone();
                meta.flags = *flags;
                self.set(ino, meta).ok()
            }
        }
    }

    /// The path that is meant; the root itself never is but as a directory to make something in.
    fn spot(&self, spot: &Spot) -> Option<RelPath> {
        let paths = self.walk(LIVE);
        let pick = |of: Vec<&RelPath>, n: usize| {
            let index = n.checked_rem(of.len())?;
            of.get(index).map(|path| (*path).clone())
        };
        match spot {
            Spot::At(path) => Some(path.clone()),
            Spot::Any(n) => pick(paths.keys().skip(1).collect(), *n),
            Spot::In(n, name) => {
                let is_directory = |(path, ino): (_, &u64)| self.entries(*ino).ok().map(|_| path);
                let directories = paths.iter().filter_map(is_directory).collect();
                pick(directories, *n)?.child(name).ok()
            }
        }
    }

    fn make_some(&mut self, path: &RelPath, kind: usize) -> Option<()> {
        let meta = self.fresh_meta();
        let text = self.clock.to_string().into_bytes();
        let body = match kind {
            0 => Body::File(text),
            1 => Body::Directory(BTreeMap::new()),
            2 => Body::Symlink(text),
            _ => Body::Fifo,
        };
        self.make((LIVE, path), body, meta).ok().map(drop)
    }

    fn rename_over(&mut self, from: &RelPath, to: &RelPath) -> Option<()> {
        let (old, new) = (self.at(LIVE, from)?, self.at(LIVE, to));
        if let Some(new) = new {
            let same_kind = self.entries(old).is_ok() == self.entries(new).is_ok();
            if new == old || !same_kind {
                return None;
            }
            self.remove((LIVE, to)).ok()?;
        }
        self.rename((LIVE, from), (LIVE, to)).ok()
    }

    fn alter(&mut self, path: &RelPath, change: impl FnOnce(&mut Metadata)) -> Option<()> {
        let ino = self.at(LIVE, path)?;
        let inode = self.inode(ino);
        if inode.meta.flags != 0 || matches!(inode.body, Body::Symlink(_)) {
            return None;
        }
        let mut meta = inode.meta.clone();
        change(&mut meta);
        self.set(ino, meta).ok()
    }

    fn remove_all(&mut self, path: &RelPath) -> Option<()> {
        let ino = self.at(LIVE, path)?;
        let names: Vec<_> = match self.entries(ino) {
            Ok(entries) => entries.keys().cloned().collect(),
            Err(_) => Vec::new(),
        };
        for name in names {
            self.remove_all(&path.child(&name).ok()?)?;
        }
        self.remove((LIVE, path)).ok()
    }
}
