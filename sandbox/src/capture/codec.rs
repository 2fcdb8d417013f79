//! The bytes of a capture, for a scratchpad that is kept: docs/formats.md has them.

use super::{
    Capture, Finding, FindingReason, Glimpse, LiveIdentity, Meanwhile, Provenance, Source,
};
use crate::change::{ChangeSet, DecodeError, Reader, Writer};

const MAGIC: &str = "isconf capture\n";
const VERSION: u16 = 3;

/// The fewest bytes of a provenance: volume, source, three marks of presence, path.
const MIN_PROVENANCE_BYTES: usize = 8 + 1 + 1 + 8 + 1 + 1;
/// The fewest bytes of a finding: path and reason.
const MIN_FINDING_BYTES: usize = 8 + 1;
/// The fewest bytes of a conflict: path, five marks of presence, one more.
const MIN_CONFLICT_BYTES: usize = 8 + 5 + 1;

impl Capture {
    /// The bytes of the capture.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::begin(MAGIC, VERSION);
        writer.bytes(&self.set.encode());
        writer.bytes(&self.shown.encode());
        writer.timestamp(self.since);
        writer.option(self.present, Writer::timestamp);
        writer.count(self.provenance.len());
        for provenance in &self.provenance {
            put_provenance(&mut writer, provenance);
        }
        writer.count(self.findings.len());
        for finding in &self.findings {
            writer.path(&finding.path);
            writer.u8(match finding.reason {
                FindingReason::ShowOnly => 1,
                FindingReason::SocketOfEndedProcess => 2,
                FindingReason::LinksTorn => 4,
            });
        }
        writer.count(self.conflicts.len());
        for conflict in &self.conflicts {
            put_conflict(&mut writer, conflict);
        }
        writer.into_bytes()
    }

    /// Reads what [`Capture::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::begin(bytes, MAGIC, VERSION)?;
        let set = ChangeSet::decode(reader.bytes("bytes of a change set", bytes.len())?)?;
        let shown = ChangeSet::decode(reader.bytes("bytes of a change set", bytes.len())?)?;
        let since = reader.timestamp()?;
        let present = reader.option(Reader::timestamp)?;
        let at = reader.at();
        let count = reader.count("provenances", MIN_PROVENANCE_BYTES)?;
        if count != set.len() {
            return Err(DecodeError::Value {
                what: "number of provenances, one for each change",
                value: count as u64,
                at,
            });
        }
        let provenance = (0..count)
            .map(|_| take_provenance(&mut reader))
            .collect::<Result<_, _>>()?;
        let count = reader.count("findings", MIN_FINDING_BYTES)?;
        let findings = (0..count)
            .map(|_| take_finding(&mut reader))
            .collect::<Result<_, _>>()?;
        let count = reader.count("conflicts", MIN_CONFLICT_BYTES)?;
        let conflicts = (0..count)
            .map(|_| take_conflict(&mut reader))
            .collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self {
            set,
            provenance,
            shown,
            since,
            present,
            findings,
            conflicts,
        })
    }
}

fn put_provenance(writer: &mut Writer, provenance: &Provenance) {
    writer.count(provenance.volume);
    put_source(writer, &provenance.source);
    writer.option(provenance.live.as_ref(), put_identity);
    writer.path(&provenance.live_path);
    writer.option(provenance.replaced.as_ref(), put_identity);
    writer.option(provenance.linked.as_ref(), put_identity);
}

fn take_provenance(reader: &mut Reader<'_>) -> Result<Provenance, DecodeError> {
    let at = reader.at();
    let volume = reader.u64()?;
    Ok(Provenance {
        volume: usize::try_from(volume).map_err(|_| DecodeError::Value {
            what: "index of a volume",
            value: volume,
            at,
        })?,
        source: take_source(reader)?,
        live: reader.option(take_identity)?,
        live_path: reader.path()?,
        replaced: reader.option(take_identity)?,
        linked: reader.option(take_identity)?,
    })
}

fn put_source(writer: &mut Writer, source: &Source) {
    match source {
        Source::Gone => writer.u8(1),
        Source::Upper { path, ino, origin } => {
            writer.u8(2);
            writer.path(path);
            writer.u64(*ino);
            writer.option(*origin, Writer::u64);
        }
        Source::MergedDirectory { path } => {
            writer.u8(3);
            writer.path(path);
        }
        Source::LiveData { path, data, ino } => {
            writer.u8(4);
            writer.path(path);
            writer.path(data);
            writer.u64(*ino);
        }
    }
}

fn take_source(reader: &mut Reader<'_>) -> Result<Source, DecodeError> {
    Ok(match reader.u8()? {
        1 => Source::Gone,
        2 => Source::Upper {
            path: reader.path()?,
            ino: reader.u64()?,
            origin: reader.option(Reader::u64)?,
        },
        3 => Source::MergedDirectory {
            path: reader.path()?,
        },
        4 => Source::LiveData {
            path: reader.path()?,
            data: reader.path()?,
            ino: reader.u64()?,
        },
        tag => return Err(reader.unknown("source", tag)),
    })
}

/// Puts what tells a live object from others.
pub fn put_identity(writer: &mut Writer, identity: &LiveIdentity) {
    writer.u64(identity.ino);
    writer.u64(identity.nlink);
    writer.timestamp(identity.ctime);
    writer.timestamp(identity.mtime);
    writer.u64(identity.size);
    writer.u32(identity.mode);
    writer.u32(identity.uid);
    writer.u32(identity.gid);
}

/// Takes what tells a live object from others.
pub fn take_identity(reader: &mut Reader<'_>) -> Result<LiveIdentity, DecodeError> {
    Ok(LiveIdentity {
        ino: reader.u64()?,
        nlink: reader.u64()?,
        ctime: reader.timestamp()?,
        mtime: reader.timestamp()?,
        size: reader.u64()?,
        mode: reader.u32()?,
        uid: reader.u32()?,
        gid: reader.u32()?,
    })
}

fn put_conflict(writer: &mut Writer, conflict: &Meanwhile) {
    let Glimpse {
        kind,
        ino,
        permissions,
        owner,
        size,
    } = conflict.seen;
    writer.path(&conflict.path);
    writer.option(kind, Writer::u32);
    writer.option(ino, Writer::u64);
    writer.option(permissions, Writer::u32);
    writer.option(owner, |writer, (uid, gid)| {
        writer.u32(uid);
        writer.u32(gid);
    });
    writer.option(size, Writer::u64);
    writer.option(conflict.found.as_ref(), put_identity);
}

fn take_conflict(reader: &mut Reader<'_>) -> Result<Meanwhile, DecodeError> {
    Ok(Meanwhile {
        path: reader.path()?,
        seen: Glimpse {
            kind: reader.option(Reader::u32)?,
            ino: reader.option(Reader::u64)?,
            permissions: reader.option(Reader::u32)?,
            owner: reader.option(|reader| Ok((reader.u32()?, reader.u32()?)))?,
            size: reader.option(Reader::u64)?,
        },
        found: reader.option(take_identity)?,
    })
}

fn take_finding(reader: &mut Reader<'_>) -> Result<Finding, DecodeError> {
    let path = reader.path()?;
    let reason = match reader.u8()? {
        1 => FindingReason::ShowOnly,
        2 => FindingReason::SocketOfEndedProcess,
        4 => FindingReason::LinksTorn,
        tag => return Err(reader.unknown("reason of a finding", tag)),
    };
    Ok(Finding { path, reason })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::change::arbitrary::{change_set, path, timestamp};

    fn identity() -> impl Strategy<Value = LiveIdentity> {
        let numbers = any::<(u64, u64, u64, u32, u32, u32)>();
        (numbers, timestamp(), timestamp()).prop_map(
            |((ino, nlink, size, mode, uid, gid), ctime, mtime)| LiveIdentity {
                ino,
                nlink,
                ctime,
                mtime,
                size,
                mode,
                uid,
                gid,
            },
        )
    }

    fn conflict() -> impl Strategy<Value = Meanwhile> {
        let seen = any::<(
            Option<u32>,
            Option<u64>,
            Option<u32>,
            Option<(u32, u32)>,
            Option<u64>,
        )>();
        (path(), seen, proptest::option::of(identity())).prop_map(
            |(path, (kind, ino, permissions, owner, size), found)| Meanwhile {
                path,
                seen: Glimpse {
                    kind,
                    ino,
                    permissions,
                    owner,
                    size,
                },
                found,
            },
        )
    }

    fn source() -> impl Strategy<Value = Source> {
        prop_oneof![
            Just(Source::Gone),
            (path(), any::<u64>(), any::<Option<u64>>())
                .prop_map(|(path, ino, origin)| Source::Upper { path, ino, origin }),
            path().prop_map(|path| Source::MergedDirectory { path }),
            (path(), path(), any::<u64>()).prop_map(|(path, data, ino)| Source::LiveData {
                path,
                data,
                ino
            }),
        ]
    }

    fn provenance() -> impl Strategy<Value = Provenance> {
        let live = proptest::option::of(identity());
        let other = || proptest::option::of(identity());
        (0..9usize, source(), live, path(), other(), other()).prop_map(
            |(volume, source, live, live_path, replaced, linked)| Provenance {
                volume,
                source,
                live,
                live_path,
                replaced,
                linked,
            },
        )
    }

    prop_compose! {
        fn capture()(
            set in change_set(),
            shown in change_set(),
            since in timestamp(),
            present in proptest::option::of(timestamp()),
            provenance in proptest::collection::vec(provenance(), 12),
            found in proptest::collection::vec((path(), 0..3usize), 0..4),
            conflicts in proptest::collection::vec(conflict(), 0..4),
        ) -> Capture {
            let reasons = [
                FindingReason::ShowOnly,
                FindingReason::SocketOfEndedProcess,
                FindingReason::LinksTorn,
            ];
            let finding = |(path, reason)| Finding { path, reason: reasons[reason] };
            Capture {
                provenance: provenance[..set.len()].to_vec(),
                set,
                shown,
                since,
                present,
                findings: found.into_iter().map(finding).collect(),
                conflicts,
            }
        }
    }

    proptest! {
        #[test]
        fn a_capture_is_read_as_it_was_written(capture in capture()) {
            prop_assert_eq!(Capture::decode(&capture.encode()).unwrap(), capture);
        }

        #[test]
        fn damage_is_refused_or_another_canonical_capture(
            capture in capture(), at in any::<prop::sample::Index>(), byte: u8,
        ) {
            let mut bytes = capture.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(other) = Capture::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
            }
        }
    }
}
