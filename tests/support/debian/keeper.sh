# The keeper of one Debian host: PID 1 of a pid namespace, so that all it started ends with it, and
# in a mount namespace of its own, so that its mounts go with it. Reads one order a line from
# standard input and answers `ok` or `failed`; at the end of the input, which is also the death of
# its maker, it ends the host and removes every file of it.
# Arguments: work directory, filesystem, base image, program, host name.
exec 3>&1 >&2
set -u
work=$1 kind=$2 base=$3 program=$4 name=$5
root=$work/root image=$work/disk
group=/sys/fs/cgroup/${work##*/}

options() {
    case $kind in
        # What forgives nothing: the default hides a missing fsync before a rename.
        ext4) echo loop,noauto_da_alloc ;;
        # Copies of one image share their UUID.
        xfs) echo loop,nouuid ;;
        *) echo loop ;;
    esac
}

attach() { mount -t "$kind" -o "$(options)" "$image" "$root"; }

# Makes the disk from the base image, and personal.
disk() {
    mkdir -p "$root" && cp --sparse=always "$base" "$image" || return
    if [ "$kind" = btrfs ]; then btrfstune -f -m "$image" >/dev/null || return; fi
    attach || return
    echo "$name" >"$root/etc/hostname"
    echo "127.0.0.1 localhost $name" >"$root/etc/hosts"
    # By this the host is told from the real machine before anything is run in it.
    echo "${work##*/}" >"$root/etc/isconf-test-host"
    install -m 755 "$program" "$root/usr/local/sbin/isconf" || return
    sync -f "$root"
}

# A group of its own, or two hosts would meet in one. Plain version 2, as systemd wants it today.
own_group() {
    umount -R /sys/fs/cgroup 2>/dev/null
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p "$group"
}

# Boots, and again each time the host reboots itself (systemd-nspawn(1), exit status 133).
boot() {
    local words=(-q --register=no --keep-unit -M "$name" -D "$root" --console=pipe
        --kill-signal=SIGKILL --capability=all --link-journal=no --resolv-conf=off --timezone=off)
    case $1 in
        systemd) words+=(--boot) ;;
        *) words+=(--as-pid2 /bin/sh -c 'while :; do sleep 1000; done') ;;
    esac
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec 3>&-
        status=133
        while [ "$status" = 133 ]; do
            systemd-nspawn "${words[@]}" </dev/null >>"$work/console" 2>&1
            status=$?
        done
    ) &
    # Its end is seen by its cgroup.
    disown
}

# Ends every process of the host at once.
stop() {
    [ -d "$group" ] || return 0
    until ! grep -q 'populated 1' "$group/cgroup.events" 2>/dev/null; do
        echo 1 >"$group/cgroup.kill"
        sleep 0.01
    done
    find "$group" -mindepth 1 -depth -type d -exec rmdir {} +
}

detach() {
    local tries=0
    until umount "$root"; do
        tries=$((tries + 1)); [ "$tries" -lt 500 ] || return 1
        sleep 0.02
    done
    # The old superblock must be gone, or the next mount finds it again.
    while [ -n "$(losetup -j "$image")" ]; do
        tries=$((tries + 1)); [ "$tries" -lt 500 ] || return 1
        sleep 0.02
    done
}

# The page cache and the unwritten log are lost; then the filesystem is as a boot would find it.
cut() {
    if [ "$kind" = btrfs ]; then
        # No such ioctl: what the medium holds now is what a copy shows.
        cp --sparse=always "$image" "$image.cut" || return
    else
        xfs_io -x -c shutdown "$root" || return
    fi
    stop && detach || return
    if [ "$kind" = btrfs ]; then mv "$image.cut" "$image" || return; fi
    attach
}

finish() {
    stop
    detach
    umount "$work" 2>/dev/null
    rmdir "$group"
    rm -rf --one-file-system "$work"
}
trap finish EXIT
# Ctrl-C reaches the maker; the end of the input reaches this.
trap '' INT TERM HUP

answer() { if "$@"; then echo ok >&3; else echo failed >&3; fi; }

mkdir -p "$work"
if ip link set lo up && own_group && disk; then echo ready >&3; else echo failed >&3; exit 1; fi
while read -r order argument; do
    case $order in
        boot) answer boot "$argument" ;;
        stop) answer stop ;;
        cut) answer cut ;;
    esac
done
