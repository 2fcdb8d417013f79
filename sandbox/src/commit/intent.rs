//! The durable record of a commit about to happen, complete enough to redo and to undo it without
//! the change set. Only bytes here; `docs/commit-protocol.md` has the format. Upholds: what is read
//! back is whole (digest), of a known version, and bounded before memory is taken.

use std::collections::BTreeMap;

use super::bytes::{Damage, Reader, Writer};
use super::step::{Area, Attributes, Bytes, Loc, Move, Object, Rewrite, Setting, Steps};
use crate::change::{Digest, Metadata, RelPath, Timestamp};
use crate::layout::{TxId, Volume, decode_volumes, encode_volumes};
use crate::sys::inspect::FileHandle;

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"ISCONFIT";
/// The one version that we write and read. A change of the format raises it.
const VERSION: u32 = 2;
/// The most bytes of the caller's own data: an entry with all arguments that the kernel admits.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// The largest intent that is read: change sets of some million paths.
pub const MAX_INTENT_BYTES: u64 = 1 << 30;
/// The longest list of volumes: 1000 with paths of the longest kind.
const MAX_VOLUMES_BYTES: usize = 16 << 20;
/// The longest handle, as the kernel bounds it (`MAX_HANDLE_SZ`).
const MAX_HANDLE_BYTES: usize = 128;

/// Which way a transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Makes a change set real.
    Forward,
    /// Takes it back.
    Backward,
}

/// What a transaction leaves at a path, so that undo can tell whether it still is so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Left {
    /// Index of the volume.
    pub volume: usize,
    /// The path, from the mount point.
    pub path: RelPath,
    /// The object; `None` when nothing is left there.
    pub object: Option<LeftObject>,
}

/// The object that a transaction leaves at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeftObject {
    /// Its inode number.
    pub ino: u64,
    /// Length of a regular file.
    pub size: Option<u64>,
    /// Digest of its attributes (see [`fingerprint`]); `None` for a directory of which only the
    /// place or the time of modification changed, since others may work in it.
    pub meta: Option<Digest>,
    /// Digest of the content of a regular file that came from the upper layer.
    pub content: Option<Digest>,
}

/// A transaction about to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub tx: TxId,
    /// Which way it goes.
    pub direction: Direction,
    /// The caller's own bytes.
    pub payload: Vec<u8>,
    /// The volumes that the steps count.
    pub sites: Vec<Volume>,
    /// What is to be done.
    pub steps: Steps,
    /// What it leaves, by path.
    pub left: Vec<Left>,
}

/// The digest of all attributes of an object; of a directory without the time of modification.
pub fn fingerprint(meta: &Metadata, is_directory: bool) -> Digest {
    let mut writer = Writer::default();
    let mut meta = meta.clone();
    if is_directory {
        meta.mtime = Timestamp::default();
    }
    put_metadata(&mut writer, &meta);
    Digest::of(&writer.into_bytes())
}

impl Intent {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.raw(MAGIC);
        w.u32(VERSION);
        w.bytes(self.tx.as_str().as_bytes());
        w.u8(match self.direction {
            Direction::Forward => 0,
            Direction::Backward => 1,
        });
        w.bytes(&self.payload);
        w.bytes(&encode_volumes(&self.sites));
        w.list(&self.steps.moves, put_move);
        w.list(&self.steps.rewrites, put_rewrite);
        w.list(&self.steps.settings, put_setting);
        w.list(&self.left, put_left);
        let mut bytes = w.into_bytes();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads the bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let split = bytes.len().checked_sub(32).ok_or(Damage::Truncated)?;
        let (body, digest) = bytes.split_at(split);
        let mut r = Reader::new(body);
        if r.raw(MAGIC.len())? != MAGIC {
            return Err(Damage::NotAnIntent);
        }
        let version = r.u32()?;
        if version != VERSION {
            return Err(Damage::UnknownVersion(version));
        }
        if Digest::of(body).as_bytes() != digest {
            return Err(Damage::Digest);
        }
        let intent = Self::body(&mut r)?;
        r.end()?;
        intent.check_volumes()?;
        Ok(intent)
    }

    fn body(r: &mut Reader<'_>) -> Result<Self, Damage> {
        let tx = r.bytes(32)?;
        let tx = std::str::from_utf8(tx).ok().and_then(|t| t.parse().ok());
        Ok(Self {
            tx: tx.ok_or(Damage::Value("transaction id"))?,
            direction: match r.u8()? {
                0 => Direction::Forward,
                1 => Direction::Backward,
                _ => return Err(Damage::Value("direction")),
            },
            payload: r.bytes(MAX_PAYLOAD_BYTES)?.to_vec(),
            sites: decode_volumes(r.bytes(MAX_VOLUMES_BYTES)?)
                .map_err(|_| Damage::Value("volumes"))?,
            steps: Steps {
                moves: r.list(usize::MAX, take_move)?,
                rewrites: r.list(usize::MAX, take_rewrite)?,
                settings: r.list(usize::MAX, take_setting)?,
            },
            left: r.list(usize::MAX, take_left)?,
        })
    }

    /// Every step must name a volume of the list: they are used as indices.
    fn check_volumes(&self) -> Result<(), Damage> {
        let known = |volume: usize| volume < self.sites.len();
        let moves = self.steps.moves.iter().all(|step| {
            let extra = match step {
                Move::Link { existing, .. } | Move::Unlink { existing, .. } => Some(existing),
                _ => None,
            };
            step.names()
                .into_iter()
                .chain(extra)
                .all(|loc| known(loc.volume))
        });
        let fine = moves
            && self.steps.rewrites.iter().all(|r| known(r.volume))
            && self.steps.settings.iter().all(|s| known(s.volume))
            && self.left.iter().all(|l| known(l.volume));
        if fine {
            Ok(())
        } else {
            Err(Damage::Value("volume"))
        }
    }
}

fn put_loc(w: &mut Writer, loc: &Loc) {
    w.u32(loc.volume as u32);
    w.u8(match loc.area {
        Area::Live => 0,
        Area::Scratch => 1,
    });
    w.bytes(loc.path.as_bytes());
}

fn take_loc(r: &mut Reader<'_>) -> Result<Loc, Damage> {
    Ok(Loc {
        volume: r.u32()? as usize,
        area: match r.u8()? {
            0 => Area::Live,
            1 => Area::Scratch,
            _ => return Err(Damage::Value("area")),
        },
        path: r.path()?,
    })
}

fn put_time(w: &mut Writer, time: Timestamp) {
    w.u64(time.secs as u64);
    w.u32(time.nanos);
}

fn take_time(r: &mut Reader<'_>) -> Result<Timestamp, Damage> {
    let (secs, nanos) = (r.u64()? as i64, r.u32()?);
    if nanos >= 1_000_000_000 {
        return Err(Damage::Value("nanoseconds"));
    }
    Ok(Timestamp { secs, nanos })
}

fn put_object(w: &mut Writer, object: &Object) {
    w.u64(object.ino);
    w.option(object.state.as_ref(), |w, (mtime, size)| {
        put_time(w, *mtime);
        w.u64(*size);
    });
}

fn take_object(r: &mut Reader<'_>) -> Result<Object, Damage> {
    Ok(Object {
        ino: r.u64()?,
        state: r.option(|r| Ok((take_time(r)?, r.u64()?)))?,
    })
}

fn put_handle(w: &mut Writer, handle: &FileHandle) {
    w.u32(handle.kind as u32);
    w.bytes(&handle.bytes);
}

fn take_handle(r: &mut Reader<'_>) -> Result<FileHandle, Damage> {
    Ok(FileHandle {
        kind: r.u32()? as i32,
        bytes: r.bytes(MAX_HANDLE_BYTES)?.to_vec(),
    })
}

fn put_move(w: &mut Writer, step: &Move) {
    let mut linking = |tag: u8, existing: &Loc, name: &Loc, inodes: [u64; 2]| {
        w.u8(tag);
        put_loc(w, existing);
        put_loc(w, name);
        inodes.into_iter().for_each(|ino| w.u64(ino));
    };
    match step {
        Move::Link {
            existing,
            name,
            ino,
            holder,
        } => linking(2, existing, name, [*ino, *holder]),
        Move::Unlink {
            existing,
            name,
            ino,
            holder,
        } => linking(3, existing, name, [*ino, *holder]),
        Move::Rename {
            from,
            to,
            object,
            holders,
        } => {
            w.u8(0);
            put_loc(w, from);
            put_loc(w, to);
            put_object(w, object);
            for holder in holders {
                w.option(holder.as_ref(), |w, ino| w.u64(*ino));
            }
        }
        Move::Exchange {
            live,
            scratch,
            old,
            new,
        } => {
            w.u8(1);
            put_loc(w, live);
            put_loc(w, scratch);
            put_object(w, old);
            put_object(w, new);
        }
        Move::Release { name, ino, handle } | Move::Recall { name, ino, handle } => {
            w.u8(if matches!(step, Move::Release { .. }) {
                4
            } else {
                5
            });
            put_loc(w, name);
            w.u64(*ino);
            put_handle(w, handle);
        }
    }
}

fn take_move(r: &mut Reader<'_>) -> Result<Move, Damage> {
    Ok(match r.u8()? {
        0 => Move::Rename {
            from: take_loc(r)?,
            to: take_loc(r)?,
            object: take_object(r)?,
            holders: [r.option(Reader::u64)?, r.option(Reader::u64)?],
        },
        1 => Move::Exchange {
            live: take_loc(r)?,
            scratch: take_loc(r)?,
            old: take_object(r)?,
            new: take_object(r)?,
        },
        2 => Move::Link {
            existing: take_loc(r)?,
            name: take_loc(r)?,
            ino: r.u64()?,
            holder: r.u64()?,
        },
        3 => Move::Unlink {
            existing: take_loc(r)?,
            name: take_loc(r)?,
            ino: r.u64()?,
            holder: r.u64()?,
        },
        4 => Move::Release {
            name: take_loc(r)?,
            ino: r.u64()?,
            handle: take_handle(r)?,
        },
        5 => Move::Recall {
            name: take_loc(r)?,
            ino: r.u64()?,
            handle: take_handle(r)?,
        },
        _ => return Err(Damage::Value("move")),
    })
}

fn put_side(w: &mut Writer, side: &Bytes) {
    w.bytes(side.path.as_bytes());
    w.bytes(side.source.as_bytes());
    w.u64(side.size);
}

fn take_side(r: &mut Reader<'_>) -> Result<Bytes, Damage> {
    Ok(Bytes {
        path: r.path()?,
        source: r.path()?,
        size: r.u64()?,
    })
}

fn put_rewrite(w: &mut Writer, step: &Rewrite) {
    w.u32(step.volume as u32);
    w.u64(step.ino);
    put_side(w, &step.before);
    put_side(w, &step.after);
}

fn take_rewrite(r: &mut Reader<'_>) -> Result<Rewrite, Damage> {
    Ok(Rewrite {
        volume: r.u32()? as usize,
        ino: r.u64()?,
        before: take_side(r)?,
        after: take_side(r)?,
    })
}

fn put_metadata(w: &mut Writer, meta: &Metadata) {
    w.u32(meta.mode);
    w.u32(meta.uid);
    w.u32(meta.gid);
    put_time(w, meta.mtime);
    w.u32(meta.flags);
    w.u32(meta.xattrs.len() as u32);
    for (name, value) in &meta.xattrs {
        w.bytes(name);
        w.bytes(value);
    }
}

fn take_metadata(r: &mut Reader<'_>) -> Result<Metadata, Damage> {
    let (mode, uid, gid) = (r.u32()?, r.u32()?, r.u32()?);
    let (mtime, flags) = (take_time(r)?, r.u32()?);
    let most = crate::sys::inspect::XATTR_BYTES;
    let xattrs: BTreeMap<_, _> = r
        .list(most, |r| {
            Ok((r.bytes(most)?.to_vec(), r.bytes(most)?.to_vec()))
        })?
        .into_iter()
        .collect();
    Ok(Metadata {
        mode,
        uid,
        gid,
        mtime,
        xattrs,
        flags,
    })
}

fn put_point(w: &mut Writer, point: &(RelPath, Attributes)) {
    w.bytes(point.0.as_bytes());
    match &point.1 {
        Attributes::All(meta) => {
            w.u8(0);
            put_metadata(w, meta);
        }
        Attributes::Mtime(mtime) => {
            w.u8(1);
            put_time(w, *mtime);
        }
        Attributes::Locks(flags) => {
            w.u8(2);
            w.u32(*flags);
        }
    }
}

fn take_point(r: &mut Reader<'_>) -> Result<(RelPath, Attributes), Damage> {
    let path = r.path()?;
    let attributes = match r.u8()? {
        0 => Attributes::All(take_metadata(r)?),
        1 => Attributes::Mtime(take_time(r)?),
        2 => Attributes::Locks(r.u32()?),
        _ => return Err(Damage::Value("attributes")),
    };
    Ok((path, attributes))
}

fn put_setting(w: &mut Writer, step: &Setting) {
    w.u32(step.volume as u32);
    w.u64(step.ino);
    w.option(step.before.as_ref(), put_point);
    w.option(step.after.as_ref(), put_point);
}

fn take_setting(r: &mut Reader<'_>) -> Result<Setting, Damage> {
    Ok(Setting {
        volume: r.u32()? as usize,
        ino: r.u64()?,
        before: r.option(take_point)?,
        after: r.option(take_point)?,
    })
}

fn put_left(w: &mut Writer, left: &Left) {
    w.u32(left.volume as u32);
    w.bytes(left.path.as_bytes());
    w.option(left.object.as_ref(), |w, object| {
        w.u64(object.ino);
        w.option(object.size.as_ref(), |w, size| w.u64(*size));
        for digest in [&object.meta, &object.content] {
            w.option(digest.as_ref(), |w, digest| w.raw(digest.as_bytes()));
        }
    });
}

fn take_left(r: &mut Reader<'_>) -> Result<Left, Damage> {
    Ok(Left {
        volume: r.u32()? as usize,
        path: r.path()?,
        object: r.option(|r| {
            Ok(LeftObject {
                ino: r.u64()?,
                size: r.option(Reader::u64)?,
                meta: r.option(Reader::digest)?,
                content: r.option(Reader::digest)?,
            })
        })?,
    })
}
