//! Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)) into values. Not for deciding anything.
//! Upholds: bounds what it takes from the kernel's text, and refuses what it does not understand.

use nix::mount::MsFlags;

use crate::change::{InvalidPath, RelPath};

/// The most bytes that are read; a mount takes some 150, so this is 100,000 mounts, which is what
/// `fs.mount-max` allows by default.
pub const MAX_MOUNTINFO_BYTES: u64 = 16 * 1024 * 1024;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its id, as in statx(2).
    pub id: u64,
    /// The filesystem's device number.
    pub device: (u32, u32),
    /// The directory of the filesystem that is mounted; `None` when it was deleted, or when it is
    /// no path (nsfs).
    pub root: Option<RelPath>,
    /// Where it is mounted, below the process's root.
    pub mount_point: RelPath,
    /// `MS_RDONLY`, `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC` of this mount.
    pub flags: MsFlags,
    /// The filesystem's type, without subtype (`fuse`, not `fuse.sshfs`).
    pub fs_type: String,
    /// Whether the filesystem as a whole is read-only.
    pub is_read_only_filesystem: bool,
}

/// A line that is not what proc_pid_mountinfo(5) describes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMountInfo {
    /// A field is missing or not a number where one is needed.
    #[error("/proc/self/mountinfo, line {line}: cannot understand the {field}")]
    Field {
        /// Line number from 1.
        line: usize,
        /// Which field.
        field: &'static str,
    },
    /// The mount point is not a path we can handle.
    #[error("/proc/self/mountinfo, line {line}: cannot handle the mount point")]
    MountPoint {
        /// Line number from 1.
        line: usize,
        /// Why.
        #[source]
        source: InvalidPath,
    },
}

/// Reads all lines. A mount that cannot be reached from the process's root (its mount point does
/// not start with `/`) is left out.
pub fn parse(text: &[u8]) -> Result<Vec<Mount>, InvalidMountInfo> {
    text.split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .filter_map(|(index, line)| parse_line(line, index + 1).transpose())
        .collect()
}

fn parse_line(text: &[u8], line: usize) -> Result<Option<Mount>, InvalidMountInfo> {
    let missing = |field| InvalidMountInfo::Field { line, field };
    let mut fields = text.split(|b| *b == b' ');
    let mut next = |field| fields.next().ok_or_else(|| missing(field));
    let id = number(next("id")?).ok_or_else(|| missing("id"))?;
    next("parent")?;
    let device = device(next("device")?).ok_or_else(|| missing("device"))?;
    let root = unescape(next("root")?);
    let mount_point = unescape(next("mount point")?);
    let flags = flags(next("options")?);
    while next("separator")? != b"-" {}
    let fs_type = next("filesystem type")?;
    next("source")?;
    let is_read_only_filesystem = next("filesystem options")?
        .split(|b| *b == b',')
        .any(|option| option == b"ro");
    if mount_point.first() != Some(&b'/') {
        return Ok(None);
    }
    let main_type = fs_type.split(|b| *b == b'.').next().unwrap_or(fs_type);
    Ok(Some(Mount {
        id,
        device,
        root: root_path(&root),
        mount_point: RelPath::new(below_root(&mount_point))
            .map_err(|source| InvalidMountInfo::MountPoint { line, source })?,
        flags,
        fs_type: String::from_utf8_lossy(main_type).into_owned(),
        is_read_only_filesystem,
    }))
}

/// The bytes after the leading slash.
fn below_root(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

/// `None` for a deleted directory: the kernel appends `//deleted`, which no path contains.
fn root_path(root: &[u8]) -> Option<RelPath> {
    if root.first() != Some(&b'/') || root.ends_with(b"//deleted") {
        return None;
    }
    RelPath::new(below_root(root)).ok()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn device(text: &[u8]) -> Option<(u32, u32)> {
    let colon = text.iter().position(|b| *b == b':')?;
    Some((number(&text[..colon])?, number(&text[colon + 1..])?))
}

fn flags(options: &[u8]) -> MsFlags {
    options
        .split(|b| *b == b',')
        .map(|option| match option {
            b"ro" => MsFlags::MS_RDONLY,
            b"nosuid" => MsFlags::MS_NOSUID,
            b"nodev" => MsFlags::MS_NODEV,
            b"noexec" => MsFlags::MS_NOEXEC,
            _ => MsFlags::empty(),
        })
        .fold(MsFlags::empty(), MsFlags::union)
}

/// Undoes the escapes of the kernel's `mangle_path`: `\ooo` for space, tab, newline, backslash and
/// `#`. A backslash without three octal digits is kept.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        match octal(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

fn octal(text: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = text.get(..4)? else {
        return None;
    };
    digits.iter().try_fold(0u8, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(digit - b'0'),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escape(path: &[u8]) -> Vec<u8> {
        path.iter()
            .flat_map(|b| match b {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{b:03o}").into_bytes(),
                b => vec![*b],
            })
            .collect()
    }

    #[test]
    fn reads_the_lines_of_a_live_machine() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n\
            28 27 0:25 /a\\040b /mnt/c\\134d ro,nosuid,nodev,noexec - fuse.sshfs x:/y ro\n";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts.len(), 3);
        assert!(mounts[1].mount_point.is_root());
        assert_eq!(mounts[1].device, (254, 0));
        assert_eq!(mounts[2].root, Some(RelPath::new(*b"a b").unwrap()));
        assert_eq!(mounts[2].mount_point.as_bytes(), b"mnt/c\\d");
        assert_eq!(mounts[2].fs_type, "fuse");
        assert!(mounts[2].is_read_only_filesystem);
        assert!(
            mounts[2]
                .flags
                .contains(MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC)
        );
    }

    #[test]
    fn deleted_and_pathless_roots_are_no_paths() {
        let text =
            b"1 0 0:3 /x//deleted /a rw - ext4 s rw\n2 0 0:4 net:[40265] /b rw - nsfs n rw\n";
        assert!(parse(text).unwrap().iter().all(|m| m.root.is_none()));
    }

    #[test]
    fn a_cut_line_is_refused_and_named() {
        let cut = parse(b"22 27 0:21 / / rw - proc proc rw\n22 27 0:21 / /x rw\n");
        assert_eq!(
            cut,
            Err(InvalidMountInfo::Field {
                line: 2,
                field: "separator"
            })
        );
    }

    proptest! {
        #[test]
        fn any_name_survives(name in proptest::collection::vec(1u8.., 1..200)) {
            let name: Vec<u8> = name.into_iter().map(|b| if b == b'/' { b'_' } else { b }).collect();
            prop_assume!(name != b"." && name != b"..");
            let mut line = b"1 0 8:1 / /".to_vec();
            line.extend(escape(&name));
            line.extend_from_slice(b" rw - ext4 /dev/x rw\n");
            let mounts = parse(&line).unwrap();
            prop_assert_eq!(mounts[0].mount_point.as_bytes(), &name[..]);
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes).is_ok();
        }
    }
}
