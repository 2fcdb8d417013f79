//! Tables of live machines and what is planned for them.

use proptest::prelude::*;

use super::super::inventory::{SeenMount, Shows};
use super::super::mountinfo::parse;
use super::*;

/// A machine from lines of `device root mount-point options type`.
fn machine(lines: &[&str]) -> Inventory {
    let mut text = String::new();
    for (id, line) in (1..).zip(lines) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [device, root, mount_point, options, fs_type] = fields[..] else {
            panic!("{line}")
        };
        text.push_str(&format!(
            "{id} 0 {device} {root} {mount_point} {options} - {fs_type} none rw\n"
        ));
    }
    Inventory {
        mounts: parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|mount| SeenMount {
                shows: match mount.mount_point.file_name() {
                    Some(name) if name.ends_with(b".file") => Shows::File,
                    Some(b"dead") => Shows::Unreachable,
                    Some(_) | None => Shows::Directory,
                },
                mount,
            })
            .collect(),
        ..Inventory::default()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::from_absolute(Path::new(text)).unwrap()
}

fn settings(home: &str) -> PlanSettings {
    PlanSettings {
        tx: TxId::from_parts(1, 2),
        home: path(home),
        show_only: vec![path("/run")],
        unusable: Vec::new(),
        hidden: Vec::new(),
        unshowable: Vec::new(),
        reach: Reach::Contained,
        disguise: None,
    }
}

fn planned(lines: &[&str]) -> Plan {
    plan(&machine(lines), &settings("/var/lib/isconf")).unwrap()
}

/// The steps that show something at `place`, in order, in short.
fn shown(plan: &Plan, place: &str) -> Vec<String> {
    plan.steps
        .iter()
        .filter(|step| step.place() == Path::new(place))
        .filter_map(|step| match step {
            Step::Overlay { flags, .. } => Some(format!("overlay{}", words(*flags))),
            Step::Bind { source, flags, .. } => Some(format!(
                "bind {}{}",
                source.to_string_lossy(),
                words(*flags)
            )),
            Step::Mount { fs_type, flags, .. } => {
                Some(format!("{}{}", fs_type.to_string_lossy(), words(*flags)))
            }
            Step::ShowKeptTree { .. } | Step::BindTree { .. } => Some("live tree".to_owned()),
            Step::BindTreeReadOnly { .. } => Some("tree".to_owned()),
            Step::MakePrivate
            | Step::KeepTree { .. }
            | Step::Remount { .. }
            | Step::MakeDirectory { .. }
            | Step::MakeFile { .. }
            | Step::MakeLink { .. }
            | Step::Name { .. }
            | Step::EnterRoot => None,
        })
        .collect()
}

fn words(flags: MsFlags) -> String {
    [
        (MsFlags::MS_RDONLY, " ro"),
        (MsFlags::MS_NOSUID, " nosuid"),
        (MsFlags::MS_NODEV, " nodev"),
        (MsFlags::MS_NOEXEC, " noexec"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, word)| word)
    .collect()
}

const ROOT: &str = "8:1 / / rw ext4";
const RUN: &str = "0:20 / /run rw,nosuid tmpfs";

#[test]
fn every_writable_disk_and_memory_mount_gets_an_overlay_without_devices() {
    let plan = planned(&[
        ROOT,
        RUN,
        "8:2 / /srv rw,noexec xfs",
        "0:21 / /srv/a rw tmpfs",
    ]);
    assert_eq!(shown(&plan, "/"), ["overlay nodev"]);
    assert_eq!(shown(&plan, "/run"), ["overlay nosuid nodev"]);
    assert_eq!(shown(&plan, "/srv"), ["overlay nodev noexec"]);
    assert_eq!(shown(&plan, "/srv/a"), ["overlay nodev"]);
    assert!(plan.uncovered.is_empty());
}

#[test]
fn scratch_lies_on_the_filesystem_that_it_covers() {
    let plan = planned(&[ROOT, "8:2 / /var rw ext4", RUN]);
    let tx = "00000000000000010000000000000002";
    let scratches: Vec<_> = plan
        .layout
        .volumes
        .iter()
        .map(|v| (v.scratch.display().to_string(), v.policy))
        .collect();
    assert_eq!(
        scratches,
        [
            (format!("/.isconf/{tx}/v1"), CommitPolicy::Rename),
            (
                format!("/var/lib/isconf/scratch/{tx}/v0"),
                CommitPolicy::Rename
            ),
            (format!("/run/.isconf/{tx}/v2"), CommitPolicy::ShowOnly),
        ]
    );
}

#[test]
fn an_alias_is_bound_to_the_overlay_that_shows_the_same() {
    let plan = planned(&[
        ROOT,
        "8:1 /srv/data /mnt rw ext4",
        "8:1 /etc/hosts /opt/hosts.file rw ext4",
        "8:1 /srv/data /media ro,nosuid ext4",
    ]);
    assert_eq!(shown(&plan, "/mnt"), ["bind /proc/srv/data nodev"]);
    assert_eq!(
        shown(&plan, "/opt/hosts.file"),
        ["bind /proc/etc/hosts nodev"]
    );
    assert_eq!(
        shown(&plan, "/media"),
        ["bind /proc/srv/data ro nosuid nodev"]
    );
    assert_eq!(plan.layout.volumes.len(), 1);
}

#[test]
fn an_alias_of_something_hidden_is_covered_by_itself() {
    // /srv of the root is hidden by another filesystem, so it is seen at /mnt only.
    let plan = planned(&[ROOT, "8:2 / /srv rw ext4", "8:1 /srv/data /mnt rw ext4"]);
    assert_eq!(shown(&plan, "/mnt"), ["overlay nodev"]);
    // The same device above what is covered already would be a second view.
    let plan = planned(&[
        "0:30 /@ / rw btrfs",
        "0:30 / /top rw btrfs",
        "0:30 /@home /home rw btrfs",
    ]);
    assert_eq!(shown(&plan, "/top"), ["bind /top ro nodev"]);
    assert_eq!(plan.uncovered[0].why, Reason::AboveCovered);
    assert_eq!(shown(&plan, "/home"), ["overlay nodev"]);
}

#[test]
fn what_cannot_be_covered_is_read_only_and_named() {
    let plan = planned(&[
        ROOT,
        "0:40 / /nfs rw nfs4",
        "8:9 / /boot/efi rw vfat",
        "0:41 / /net rw autofs",
        "0:42 / /net/host rw nfs4",
        "8:7 /x /etc/x.file rw ext4",
        "8:8 / /cd ro iso9660",
        "0:43 /gone//deleted /gone rw ext4",
        "0:44 / /srv/jail/proc rw proc",
        "0:45 / /srv/dead rw nfs4",
    ]);
    assert_eq!(shown(&plan, "/nfs"), ["bind /nfs ro nodev"]);
    assert_eq!(shown(&plan, "/cd"), ["bind /cd ro nodev"]);
    let empty = ["tmpfs ro nosuid nodev noexec"];
    assert_eq!(shown(&plan, "/net"), empty);
    assert!(shown(&plan, "/net/host").is_empty());
    assert_eq!(shown(&plan, "/srv/dead"), empty);
    assert_eq!(
        shown(&plan, "/srv/jail/proc"),
        ["proc ro nosuid nodev noexec"]
    );
    let why: Vec<_> = plan
        .uncovered
        .iter()
        .map(|u| (u.mount_point.to_string(), u.what, u.why))
        .collect();
    assert_eq!(
        why,
        [
            (
                "/nfs".to_owned(),
                Uncovering::ReadOnly,
                Reason::FileSystemType
            ),
            (
                "/boot/efi".to_owned(),
                Uncovering::ReadOnly,
                Reason::FileSystemType
            ),
            ("/net".to_owned(), Uncovering::Masked, Reason::Automount),
            (
                "/etc/x.file".to_owned(),
                Uncovering::ReadOnly,
                Reason::SingleFile
            ),
            ("/gone".to_owned(), Uncovering::ReadOnly, Reason::NoRoot),
            (
                "/srv/dead".to_owned(),
                Uncovering::Masked,
                Reason::Unreachable
            ),
        ]
    );
}

#[test]
fn a_mount_that_failed_before_is_read_only() {
    let mut settings = settings("/var/lib/isconf");
    settings.unusable.push(path("/srv"));
    let plan = plan(&machine(&[ROOT, "8:2 / /srv rw ext4"]), &settings).unwrap();
    assert_eq!(shown(&plan, "/srv"), ["bind /srv ro nodev"]);
    assert_eq!(plan.uncovered[0].why, Reason::Unusable);
}

#[test]
fn container_storage_is_masked_with_all_mounts_in_it() {
    let mut inventory = machine(&[ROOT, "0:50 / /var/lib/docker/overlay2/x/merged rw overlay"]);
    inventory
        .container_storage
        .push(path("/var/lib/docker/overlay2"));
    let plan = plan(&inventory, &settings("/var/lib/isconf")).unwrap();
    assert_eq!(
        shown(&plan, "/var/lib/docker/overlay2"),
        ["tmpfs ro nosuid nodev noexec"]
    );
    assert_eq!(plan.layout.volumes.len(), 1);
    assert_eq!(plan.uncovered[0].what, Uncovering::Masked);
}

#[test]
fn a_mask_below_a_mask_is_left_out() {
    let mut inventory = machine(&[ROOT, "0:41 / /net rw autofs"]);
    for place in [
        "/srv/a/b", "/srv/a", "/srv/a", "/srv/ab", "/net/x", "/dev/x",
    ] {
        inventory.masked.push((path(place), true));
    }
    let plan = plan(&inventory, &settings("/h")).unwrap();
    let count = |place| shown(&plan, place).len();
    assert_eq!((count("/srv/a"), count("/srv/ab")), (1, 1));
    assert_eq!(
        (count("/srv/a/b"), count("/net/x"), count("/dev/x")),
        (0, 0, 0)
    );
}

#[test]
fn the_transactions_are_masked_under_every_name() {
    let plan = planned(&[ROOT, "8:1 /var /mnt/var rw ext4"]);
    for place in ["/var/lib/isconf/scratch", "/mnt/var/lib/isconf/scratch"] {
        assert_eq!(
            shown(&plan, place),
            ["tmpfs ro nosuid nodev noexec"],
            "{place}"
        );
    }
}

#[test]
fn a_live_overlay_has_its_scratch_on_another_filesystem_and_is_copied() {
    let overlay = "0:60 / / rw overlay";
    let on_disk = planned(&[overlay, RUN, "8:2 / /data rw ext4"]);
    assert_eq!(on_disk.layout.volumes[0].policy, CommitPolicy::Copy);
    assert!(
        on_disk.layout.volumes[0]
            .scratch
            .starts_with("/data/.isconf")
    );
    let in_memory = planned(&[overlay, "0:61 / /tmp rw tmpfs"]);
    assert!(
        in_memory.layout.volumes[0]
            .scratch
            .starts_with("/tmp/.isconf")
    );
    let at_home = planned(&[
        overlay,
        "0:61 / /tmp rw tmpfs",
        "8:3 / /var/lib/isconf rw ext4",
    ]);
    assert!(
        at_home.layout.volumes[0]
            .scratch
            .starts_with("/var/lib/isconf/scratch")
    );
    let none = plan(&machine(&[overlay]), &settings("/var/lib/isconf"));
    assert!(matches!(none, Err(PlanError::NoScratchFileSystem { .. })));
}

#[test]
fn a_root_that_cannot_be_covered_is_an_error_unless_it_is_read_only() {
    let refused = plan(&machine(&["0:70 / / rw nfs4"]), &settings("/h"));
    assert!(matches!(refused, Err(PlanError::RootFileSystem { .. })));
    let empty = plan(&Inventory::default(), &settings("/h"));
    assert_eq!(empty, Err(PlanError::NoRoot));
    let image = planned(&["7:0 / / ro squashfs", "0:71 / /var rw tmpfs"]);
    assert_eq!(shown(&image, "/"), ["bind / ro nodev"]);
    assert_eq!(image.layout.volumes.len(), 1);
}

#[test]
fn special_places_are_not_the_live_ones() {
    let mut inventory = machine(&[
        ROOT,
        "0:5 / /proc rw proc",
        "0:6 / /proc/sys/fs/binfmt_misc rw binfmt_misc",
        "0:7 / /sys rw sysfs",
        "0:8 / /dev rw devtmpfs",
        "0:9 / /dev/shm rw tmpfs",
        "0:10 / /dev/mqueue rw mqueue",
    ]);
    inventory.devices = vec!["null"];
    inventory.proc_read_only = vec!["sys"];
    inventory.has_kcore = true;
    let plan = plan(&inventory, &settings("/h")).unwrap();
    assert_eq!(shown(&plan, "/proc"), ["proc nosuid nodev noexec"]);
    assert_eq!(
        shown(&plan, "/proc/sys"),
        ["bind /proc/proc/sys ro nosuid nodev noexec"]
    );
    assert_eq!(
        shown(&plan, "/proc/kcore"),
        ["bind /dev/null ro nosuid nodev noexec"]
    );
    assert_eq!(shown(&plan, "/sys"), ["tree"]);
    assert_eq!(shown(&plan, "/dev"), ["tmpfs nosuid nodev noexec"]);
    assert_eq!(
        shown(&plan, "/dev/null"),
        ["bind /dev/null ro nosuid noexec"]
    );
    assert_eq!(shown(&plan, "/dev/shm"), ["tmpfs nosuid nodev"]);
    assert_eq!(shown(&plan, "/dev/mqueue"), ["mqueue nosuid nodev noexec"]);
    assert_eq!(plan.layout.volumes.len(), 1);
}

proptest! {
    /// Whatever is mounted wherever, nothing live is shown writable but through an overlay.
    #[test]
    fn nothing_live_is_writable(
        mounts in proptest::collection::vec(
            (0..4u32, 0..3usize, 0..5usize, any::<bool>(), 0..6usize), 0..12)
    ) {
        let roots = ["/", "/a", "/a/b"];
        let points = ["/m", "/m/a", "/m/a/b", "/n.file", "/run"];
        let types = ["ext4", "tmpfs", "overlay", "nfs", "vfat", "proc"];
        let mut lines = vec![ROOT.to_owned(), "0:99 / /scratch rw tmpfs".to_owned()];
        for (device, root, point, writable, fs_type) in mounts {
            lines.push(format!(
                "8:{device} {} {} {} {}",
                roots[root], points[point], if writable { "rw" } else { "ro" }, types[fs_type]
            ));
        }
        // Only one mount is seen at a place.
        let place = |line: &String| line.split(' ').nth(2).map(str::to_owned);
        let mut places = std::collections::HashSet::new();
        lines.retain(|line| places.insert(place(line)));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let plan = planned(&lines);
        for step in &plan.steps {
            match step {
                Step::Bind { source, flags, .. } => prop_assert!(
                    source.to_bytes().starts_with(b"/proc") || flags.contains(MsFlags::MS_RDONLY)
                ),
                Step::Overlay { flags, .. } => prop_assert!(flags.contains(MsFlags::MS_NODEV)),
                _ => {}
            }
        }
        let overlays = plan.steps.iter().filter(|s| matches!(s, Step::Overlay { .. })).count();
        prop_assert_eq!(overlays, plan.layout.volumes.len());
        let mut scratches: Vec<_> = plan.layout.volumes.iter().map(|v| &v.scratch).collect();
        scratches.sort();
        scratches.dedup();
        prop_assert_eq!(scratches.len(), overlays);
    }
}

#[test]
fn with_the_running_system_in_reach_only_files_are_covered() {
    let mut settings = settings("/var/lib/isconf");
    settings.reach = Reach::Live;
    let mut inventory = machine(&[
        "8:1 / / rw ext4",
        "0:5 / /proc rw proc",
        "0:6 / /run rw tmpfs",
    ]);
    inventory.sockets = vec![path("/run/a.sock"), path("/var/lib/b.sock")];
    let plan = plan(&inventory, &settings).unwrap();
    assert_eq!(shown(&plan, "/"), ["overlay nodev"]);
    for place in ["/proc", "/sys", "/dev", "/run"] {
        assert_eq!(shown(&plan, place), ["live tree"], "{place}");
    }
    assert_eq!(shown(&plan, "/run/a.sock"), [""; 0]);
    assert_eq!(shown(&plan, "/var/lib/b.sock").len(), 1);
    assert_eq!(plan.layout.volumes.len(), 1);
}
