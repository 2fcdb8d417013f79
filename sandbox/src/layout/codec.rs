//! The bytes of a layout's volumes, one form for everything that has to find them again: the list
//! beside a scratchpad, a kept one, and the intent of a commit. docs/formats.md has them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{CommitPolicy, Volume};
use crate::change::{DecodeError, MAX_PATH_BYTES, Reader, Writer};

const MAGIC: &str = "isconf volumes\n";
/// The one version that we write and read. A change of the format raises it.
const VERSION: u16 = 1;
/// The longest name of a filesystem's type; that of the kernel are about ten bytes long.
const MAX_TYPE_BYTES: usize = 256;

/// The bytes of a list of volumes.
pub fn encode_volumes(volumes: &[Volume]) -> Vec<u8> {
    let mut writer = Writer::begin(MAGIC, VERSION);
    for volume in volumes {
        put_volume(&mut writer, volume);
    }
    writer.into_bytes()
}

/// Reads what [`encode_volumes`] wrote.
pub fn decode_volumes(bytes: &[u8]) -> Result<Vec<Volume>, DecodeError> {
    let mut reader = Reader::begin(bytes, MAGIC, VERSION)?;
    let mut volumes = Vec::new();
    while reader.left() > 0 {
        volumes.push(take_volume(&mut reader)?);
    }
    Ok(volumes)
}

/// The volumes that are whole in a list that may have been cut short while it was written, by a
/// kill or by a power cut.
pub fn decode_whole_volumes(bytes: &[u8]) -> Result<Vec<Volume>, DecodeError> {
    let bytes = without_lost_blocks(bytes);
    if encode_volumes(&[]).starts_with(bytes) {
        return Ok(Vec::new());
    }
    let mut reader = Reader::begin(bytes, MAGIC, VERSION)?;
    let mut volumes = Vec::new();
    while reader.left() > 0 {
        match take_volume(&mut reader) {
            Ok(volume) => volumes.push(volume),
            Err(DecodeError::Truncated { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(volumes)
}

/// A power cut can leave a file with its length and without its bytes: zeroes take the place of
/// blocks that never reached the disk.
fn without_lost_blocks(mut bytes: &[u8]) -> &[u8] {
    /// The smallest block of a filesystem that a scratchpad covers.
    const BLOCK: usize = 512;
    while let Some(last) = bytes.chunks(BLOCK).last()
        && last.iter().all(|byte| *byte == 0)
    {
        bytes = &bytes[..bytes.len() - last.len()];
    }
    bytes
}

fn put_volume(writer: &mut Writer, volume: &Volume) {
    writer.path(&volume.mount_point);
    writer.bytes(volume.fs_type.as_bytes());
    writer.u32(volume.device.0);
    writer.u32(volume.device.1);
    writer.bytes(volume.scratch.as_os_str().as_bytes());
    writer.u8(match volume.policy {
        CommitPolicy::Rename => 0,
        CommitPolicy::Copy => 1,
        CommitPolicy::ShowOnly => 2,
    });
}

fn take_volume(reader: &mut Reader<'_>) -> Result<Volume, DecodeError> {
    let mount_point = reader.path()?;
    let fs_type = reader.bytes("bytes of a filesystem's type", MAX_TYPE_BYTES)?;
    let fs_type = str::from_utf8(fs_type).map_err(|source| reader.no_text(fs_type, source))?;
    let device = (reader.u32()?, reader.u32()?);
    let scratch = reader.bytes("bytes of a path", MAX_PATH_BYTES)?;
    Ok(Volume {
        mount_point,
        fs_type: fs_type.to_owned(),
        device,
        scratch: OsString::from_vec(scratch.to_vec()).into(),
        policy: match reader.u8()? {
            0 => CommitPolicy::Rename,
            1 => CommitPolicy::Copy,
            2 => CommitPolicy::ShowOnly,
            tag => return Err(reader.unknown("policy", tag)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::RelPath;
    use proptest::prelude::*;

    prop_compose! {
        fn volume()(
            mount_point in "([a-z\n\\\\ ]{1,5}/){0,3}[a-z]",
            scratch in prop::collection::vec(any::<u8>(), 0..50),
            device in any::<(u32, u32)>(),
            policy in 0..3_usize,
        ) -> Volume {
            let policies = [CommitPolicy::Rename, CommitPolicy::Copy, CommitPolicy::ShowOnly];
            Volume {
                mount_point: RelPath::new(mount_point).unwrap(),
                fs_type: "ext4".to_owned(),
                device,
                scratch: OsString::from_vec(scratch).into(),
                policy: policies[policy],
            }
        }
    }

    #[test]
    fn a_type_that_is_no_text_is_an_error() {
        let mut bytes = encode_volumes(&[Volume {
            mount_point: RelPath::new("tmp").unwrap(),
            fs_type: "ext4".to_owned(),
            device: (8, 1),
            scratch: "/tmp/.isconf/x".into(),
            policy: CommitPolicy::Rename,
        }]);
        let at = bytes.windows(4).position(|w| w == b"ext4").unwrap();
        bytes[at] = 0x88;
        let found = decode_volumes(&bytes);
        assert!(
            matches!(found, Err(DecodeError::Text { at: begin, .. }) if begin == at),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_a_cut_list_gives_what_is_whole(
            volumes in prop::collection::vec(volume(), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = encode_volumes(&volumes);
            prop_assert_eq!(&decode_volumes(&bytes).unwrap(), &volumes);
            let cut = cut.index(bytes.len());
            let whole = decode_whole_volumes(&bytes[..cut]).unwrap();
            prop_assert!(volumes.starts_with(&whole));
            prop_assert!(encode_volumes(&whole).len() <= cut.max(MAGIC.len() + 2));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let mut all = encode_volumes(&[]);
            all.extend(bytes);
            if let Ok(volumes) = decode_volumes(&all) {
                prop_assert_eq!(encode_volumes(&volumes).len(), all.len());
            }
        }
    }

    #[test]
    fn a_list_whose_bytes_never_reached_the_disk_names_nothing() {
        for lost in [1, 100, 4096, 5000] {
            assert_eq!(decode_whole_volumes(&vec![0; lost]).unwrap(), []);
        }
        let mut begun = encode_volumes(&[]);
        begun.resize(512, 7);
        let whole = decode_whole_volumes(&begun);
        begun.resize(5000, 0);
        assert_eq!(
            format!("{:?}", decode_whole_volumes(&begun)),
            format!("{whole:?}")
        );
    }

    #[test]
    fn another_version_is_refused() {
        assert!(decode_whole_volumes(b"isconf volumes\n\x02\x00").is_err());
        assert!(decode_volumes(b"isconf volumes 1\n").is_err());
    }
}
