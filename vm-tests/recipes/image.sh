#!/bin/sh
# image.sh ROOT.tar KERNELDIR AGENT ISCONF OUT.raw   a bootable ext4 disk with both programs in it.
# No loop device and no mount: mke2fs fills the disk. What costs boot time and nobody tests is masked.
set -eu
tar=$1 kernel=$2 agent=$3 isconf=$4 out=$5
root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM
tar -C "$root" --numeric-owner -xf "$tar" --exclude='./dev/*'
version=$(ls "$kernel/lib/modules")
mkdir -p "$root/usr/lib/modules"
(cd "$kernel/lib/modules" && find "$version" -type f | grep -E \
    '/(kernel/(arch|block|crypto|lib|fs/(xfs|btrfs|overlayfs|fuse|nls|squashfs)|drivers/(block|md|char/hw_random))|modules\.)' |
    tar cf - -T -) | tar -C "$root/usr/lib/modules" -xf -
chroot "$root" depmod "$version"
units=$root/etc/systemd/system
mkdir -p "$units/sysinit.target.wants" "$root/etc/systemd/journald.conf.d"
mkdir -p "$root/usr/local/lib/vm-tests"
strip -o "$root/usr/local/lib/vm-tests/vm-tests" "$agent"
strip -o "$root/usr/local/sbin/isconf" "$isconf"
cat >"$units/vm-tests-agent.service" <<UNIT
[Unit]
Description=Runs what the test runner asks for
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup-dev.service
Before=shutdown.target
Conflicts=shutdown.target
[Service]
ExecStart=/usr/local/lib/vm-tests/vm-tests agent /dev/ttyS1
KillMode=process
OOMScoreAdjust=-999
UNIT
ln -s ../vm-tests-agent.service "$units/sysinit.target.wants/"
cat >"$root/usr/local/lib/vm-tests/stage0" <<'STAGE'
#!/bin/sh
# PID 1 for a moment: mounts another root than the boot disk's and hands over to it.
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
# Debian's kernel leaves that to an initrd.
mount -t devtmpfs dev /dev
read -r line </proc/cmdline
root=
for word in $line; do
    case $word in vmroot=*) root=${word#vmroot=} ;; esac
done
# The kernel mounts the first disk as soon as it is there, and then looks for the others.
disk() {
    until [ -b "/dev/nvme0n$1" ]; do sleep 0.05; done
    mount -t "$2" "/dev/nvme0n$1" "$3"
}
case $root in
overlay)
    modprobe overlay
    disk 2 ext4 /srv
    mkdir -p /srv/upper /srv/work
    # Recovery knows objects by inode number. Without xino those of directories are new with each
    # mount when the layers are on two filesystems.
    mount -t overlay -o lowerdir=/,upperdir=/srv/upper,workdir=/srv/work,xino=on root /mnt
    ;;
split)
    disk 2 ext4 /mnt
    disk 3 ext4 /mnt/usr
    disk 4 ext4 /mnt/var
    disk 5 ext4 /mnt/home
    ;;
*)
    modprobe "$root"
    disk 2 "$root" /mnt
    ;;
esac
mount -n --move /dev /mnt/dev
mount -n --move /proc /mnt/proc
cd /mnt
pivot_root . mnt
# The old root leaves the tree; it lives on where the new one is made of it.
exec chroot . /bin/sh -c 'umount -l /mnt; exec /sbin/init' </dev/console >/dev/console 2>&1
STAGE
chmod 755 "$root/usr/local/lib/vm-tests/stage0"
echo vm >"$root/etc/hostname"
: >"$root/etc/fstab"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
# Nothing is regenerated at boot: neither ldconfig nor users nor catalogs.
touch -d '+1 day' "$root/etc/.updated" "$root/var/.updated"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/vm.conf"
ln -sf /usr/lib/systemd/system/multi-user.target "$units/default.target"
for unit in systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer dpkg-db-backup.timer getty@tty1.service \
    serial-getty@ttyS0.service systemd-networkd-wait-online.service systemd-binfmt.service \
    systemd-pstore.service systemd-logind.service modprobe@configfs.service \
    modprobe@dm_mod.service modprobe@fuse.service modprobe@loop.service modprobe@drm.service \
    modprobe@efi_pstore.service sys-kernel-config.mount sys-fs-fuse-connections.mount \
    sys-kernel-tracing.mount sys-kernel-debug.mount dev-hugepages.mount \
    proc-sys-fs-binfmt_misc.automount systemd-journal-flush.service \
    systemd-user-sessions.service systemd-ask-password-console.path \
    systemd-ask-password-wall.path systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-initctl.socket \
    systemd-udev-trigger.service; do
    ln -sf /dev/null "$units/$unit"
done
rm -f "$out"
truncate -s 1G "$out"
# noauto_da_alloc: no kindness of ext4 hides a missing fsync before a rename.
mke2fs -q -t ext4 -d "$root" -L root -E lazy_itable_init=0,lazy_journal_init=0 -F "$out"
tune2fs -E mount_opts=noauto_da_alloc "$out" >/dev/null
