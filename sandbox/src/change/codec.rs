//! Canonical bytes of nodes, lists of nodes, and change sets, as docs/formats.md has them. One
//! value has one encoding, and bytes that are not that encoding are refused.

use std::collections::BTreeMap;

use super::bytes::{DecodeError, Reader, Writer};
use super::{
    Change, ChangeSet, Content, Digest, KEPT_FLAGS, Kind, MAX_NAME_BYTES, MAX_PATH_BYTES, Metadata,
    Node, RelPath,
};

const SET_MAGIC: &str = "isconf change set\n";
const SET_VERSION: u16 = 1;
const NODES_MAGIC: &str = "isconf node list\n";
const NODES_VERSION: u16 = 1;

/// The longest value of an extended attribute (`XATTR_SIZE_MAX`, linux/limits.h).
const MAX_XATTR_BYTES: usize = 64 * 1024;

/// The fewest bytes of a change: path, two marks of presence, one for `moved_from`.
const MIN_CHANGE_BYTES: usize = 11;
/// The fewest bytes of a named node: path, kind, metadata, one mark of presence.
const MIN_NODE_BYTES: usize = 8 + 1 + 36 + 1;
/// The fewest bytes of an extended attribute: two lengths and one byte of name.
const MIN_XATTR_BYTES: usize = 17;

impl ChangeSet {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::begin(SET_MAGIC, SET_VERSION);
        writer.count(self.len());
        for change in self.changes() {
            put_change(&mut writer, change);
        }
        writer.into_bytes()
    }

    /// Reads canonical bytes. The bytes may come from a stranger.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::begin(bytes, SET_MAGIC, SET_VERSION)?;
        let count = reader.count("changes", MIN_CHANGE_BYTES)?;
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..count {
            let at = reader.at();
            let change = take_change(&mut reader)?;
            if changes.last().is_some_and(|last| last.path >= change.path) {
                return Err(DecodeError::Order { what: "path", at });
            }
            changes.push(change);
        }
        reader.end()?;
        Ok(Self::in_order(changes))
    }

    /// The SHA-256 of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

/// The canonical bytes of a list of paths with what is there.
pub fn encode_nodes(nodes: &BTreeMap<RelPath, Node>) -> Vec<u8> {
    let mut writer = Writer::begin(NODES_MAGIC, NODES_VERSION);
    writer.count(nodes.len());
    for (path, node) in nodes {
        writer.path(path);
        put_node(&mut writer, node);
    }
    writer.into_bytes()
}

/// Reads what [`encode_nodes`] wrote. The bytes may come from a stranger.
pub fn decode_nodes(bytes: &[u8]) -> Result<BTreeMap<RelPath, Node>, DecodeError> {
    let mut reader = Reader::begin(bytes, NODES_MAGIC, NODES_VERSION)?;
    let count = reader.count("nodes", MIN_NODE_BYTES)?;
    let mut nodes = BTreeMap::new();
    for _ in 0..count {
        let at = reader.at();
        let path = reader.path()?;
        if nodes
            .last_key_value()
            .is_some_and(|(last, _)| *last >= path)
        {
            return Err(DecodeError::Order { what: "path", at });
        }
        nodes.insert(path, take_node(&mut reader)?);
    }
    reader.end()?;
    Ok(nodes)
}

/// Puts one change.
pub fn put_change(writer: &mut Writer, change: &Change) {
    writer.path(&change.path);
    writer.option(change.before.as_ref(), put_node);
    writer.option(change.after.as_ref(), put_node);
    writer.option(change.moved_from.as_ref(), Writer::path);
}

/// Takes one change.
pub fn take_change(reader: &mut Reader<'_>) -> Result<Change, DecodeError> {
    Ok(Change {
        path: reader.path()?,
        before: reader.option(take_node)?,
        after: reader.option(take_node)?,
        moved_from: reader.option(Reader::path)?,
    })
}

/// Puts one node.
pub fn put_node(writer: &mut Writer, node: &Node) {
    put_kind(writer, &node.kind);
    put_metadata(writer, &node.meta);
    writer.option(node.link_of.as_ref(), Writer::path);
}

/// Takes one node.
pub fn take_node(reader: &mut Reader<'_>) -> Result<Node, DecodeError> {
    Ok(Node {
        kind: take_kind(reader)?,
        meta: take_metadata(reader)?,
        link_of: reader.option(Reader::path)?,
    })
}

fn put_kind(writer: &mut Writer, kind: &Kind) {
    let device = |writer: &mut Writer, tag, (major, minor): (&u32, &u32)| {
        writer.u8(tag);
        writer.u32(*major);
        writer.u32(*minor);
    };
    match kind {
        Kind::File {
            size,
            content,
            hole_bytes,
        } => {
            writer.u8(1);
            writer.u64(*size);
            let digest = match content {
                Content::Read(digest) => Some(digest),
                Content::Unread => None,
            };
            writer.option(digest, Writer::digest);
            writer.u64(*hole_bytes);
        }
        Kind::Directory => writer.u8(2),
        Kind::Symlink { target } => {
            writer.u8(3);
            writer.bytes(target);
        }
        Kind::Fifo => writer.u8(4),
        Kind::Socket => writer.u8(5),
        Kind::CharDevice { major, minor } => device(writer, 6, (major, minor)),
        Kind::BlockDevice { major, minor } => device(writer, 7, (major, minor)),
    }
}

fn take_kind(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    Ok(match reader.u8()? {
        1 => Kind::File {
            size: reader.u64()?,
            content: match reader.option(Reader::digest)? {
                Some(digest) => Content::Read(digest),
                None => Content::Unread,
            },
            hole_bytes: reader.u64()?,
        },
        2 => Kind::Directory,
        3 => Kind::Symlink {
            target: reader
                .bytes("bytes of a link's target", MAX_PATH_BYTES)?
                .to_vec(),
        },
        4 => Kind::Fifo,
        5 => Kind::Socket,
        6 => Kind::CharDevice {
            major: reader.u32()?,
            minor: reader.u32()?,
        },
        7 => Kind::BlockDevice {
            major: reader.u32()?,
            minor: reader.u32()?,
        },
        tag => return Err(reader.unknown("kind", tag)),
    })
}

fn put_metadata(writer: &mut Writer, meta: &Metadata) {
    writer.u32(meta.mode);
    writer.u32(meta.uid);
    writer.u32(meta.gid);
    writer.timestamp(meta.mtime);
    writer.u32(meta.flags);
    writer.count(meta.xattrs.len());
    for (name, value) in &meta.xattrs {
        writer.bytes(name);
        writer.bytes(value);
    }
}

fn take_metadata(reader: &mut Reader<'_>) -> Result<Metadata, DecodeError> {
    let mode = reader.u32_below("mode", 0o10000)?;
    let (uid, gid) = (reader.u32()?, reader.u32()?);
    let mtime = reader.timestamp()?;
    let at = reader.at();
    let flags = reader.u32()?;
    if flags & !KEPT_FLAGS != 0 {
        return Err(DecodeError::Value {
            what: "set of kept inode flags",
            value: flags.into(),
            at,
        });
    }
    Ok(Metadata {
        mode,
        uid,
        gid,
        mtime,
        xattrs: take_xattrs(reader)?,
        flags,
    })
}

fn take_xattrs(reader: &mut Reader<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, DecodeError> {
    let count = reader.count("extended attributes", MIN_XATTR_BYTES)?;
    let mut xattrs: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for _ in 0..count {
        let at = reader.at();
        let name = reader.bytes("bytes of an attribute's name", MAX_NAME_BYTES)?;
        if name.is_empty() || name.contains(&0) {
            return Err(DecodeError::Value {
                what: "length of an attribute's name",
                value: name.len() as u64,
                at,
            });
        }
        let last = xattrs.last_key_value();
        if last.is_some_and(|(last, _)| last.as_slice() >= name) {
            return Err(DecodeError::Order {
                what: "attribute",
                at,
            });
        }
        let value = reader.bytes("bytes of an attribute", MAX_XATTR_BYTES)?;
        xattrs.insert(name.to_vec(), value.to_vec());
    }
    Ok(xattrs)
}
