# Runs isconf on a filesystem in an image, lets something happen to it, and says what is there after
# the next start. Not for what is right: the caller compares. Usage: disk WHAT ARGUMENT…
set -eu
export IS_HOME=/data/is IS_REBOOT_CMD=true
kind=$(cat /cut/kind)
# Nothing but isconf's own syncs may make anything durable.
case $kind in
ext4) options=loop,noauto_da_alloc,commit=300 ;;
btrfs) options=loop,commit=300 ;;
*) options=loop ;;
esac

on() {
    mount -o $options /cut/device/now /data
    [ ! -d /data/o ] || mount -t overlay none /data/srv \
        -o lowerdir=/data/o/l,upperdir=/data/o/u,workdir=/data/o/w,redirect_dir=off
}

# The filesystem is gone when the loop device is, which the kernel lets go of a little later.
off() {
    ! grep -q ' /data/srv overlay ' /proc/mounts || until umount /data/srv 2>/dev/null; do :; done
    until umount /data 2>/dev/null; do :; done
    while losetup -j /cut/device/now | grep -q .; do :; done
}

# Each round starts with the same image.
fresh() {
    cp --sparse=always "/cut/base-$1" /cut/device/now
    on
}

# What the next start makes of it. Times are left out.
see() {
    isconf status | sed 's/(since.*//; s/ [0-9a-f]\{12\}$//'
    echo "receipts $(isconf history | grep -c '^receipt ') entries $(isconf log | grep -c '^entry ')"
    sh /cut/look
}

# Has isconf stand still at a point; `came` says whether it got there.
stop_at() {
    ISCONF_CRASH_AT="$1:1:pause" sh -c "exec $2" >/dev/null 2>/cut/said &
    pid=$!
    until grep -q '^State:.[TZ]' /proc/$pid/status 2>/dev/null || [ ! -d /proc/$pid ]; do :; done
    came=no
    ! grep -q '^State:.T' /proc/$pid/status 2>/dev/null || came=yes
}

ended() {
    rc=0
    wait $pid 2>/dev/null || rc=$?
}

what=$1 base=$2
shift 2
case $what in
# The image that rounds start with; made by a script.
base)
    rm -f /cut/device/now && truncate -s 300M /cut/device/now
    mkfs.$kind -q $(cat /cut/mkfs) /cut/device/now >&2
    on
    mkdir /data/is /data/srv
    sh -ec "$1" >&2
    off
    cp --sparse=always /cut/device/now /cut/base-$base
    ;;
# What a script makes of it when nothing happens.
whole)
    fresh $base
    sh -c "$1" >/dev/null 2>&1 || true
    see
    off
    ;;
# The power is cut at a point, or behind the end of the command. btrfs cannot be shut down: of it the
# image is kept as it is while isconf stands still.
cut)
    fresh $base
    stop_at "$1" "$2"
    case $kind in
    btrfs) cp --sparse=always /cut/device/now /cut/then ;;
    *) xfs_io -x -c shutdown /data ;;
    esac
    kill -KILL $pid 2>/dev/null || true
    ended
    off
    [ ! -e /cut/then ] || mv /cut/then /cut/device/now
    on
    echo "came $came"
    see
    off
    ;;
# The command is killed after a time, and so is the next start; both in seconds.
kill)
    fresh $base
    for after in $1 $2; do
        sh -c "exec $3" >/dev/null 2>&1 &
        pid=$!
        sleep $after
        kill -KILL $pid 2>/dev/null || true
        ended
        set -- $1 $2 'isconf try true'
    done
    see
    off
    ;;
# Only so many KiB, or names of files, are free.
full)
    fresh $base
    sh /cut/look >/cut/look.old
    case $1 in
    KiB)
        # What cannot be reserved in one piece is filled up by writing.
        for piece in 64M 8M 1M 64K 4K; do
            while fallocate -o "$(stat -c %s /data/fill 2>/dev/null || echo 0)" -l $piece /data/fill 2>/dev/null; do :; done
        done
        size=$(stat -c %s /data/fill)
        [ $((size / 1024)) -gt $2 ] && truncate -s $((size - $2 * 1024)) /data/fill
        sync -f /data
        ;;
    inodes)
        mkdir /data/fill
        (cd /data/fill && seq 600 | xargs touch 2>/dev/null) || true
        (cd /data/fill && ls | head -n $2 | xargs -r rm)
        ;;
    esac
    rc=0
    sh -c "exec $3" >/dev/null 2>/cut/said || rc=$?
    echo "status $rc"
    sh /cut/look >/cut/before
    rm -r /data/fill
    see >/cut/after 2>/dev/null
    cmp -s /cut/look.old /cut/before && echo "live as before" || echo "live otherwise"
    cat /cut/after
    cat /cut/said >&2
    off
    ;;
# From a point on the disk fails in some way, until it is mounted again.
fault)
    fresh $base
    stop_at "$2" "$3"
    case $1 in
    shutdown) xfs_io -x -c shutdown /data ;;
    abort) mount -o remount,abort /data ;;
    small) mount -o "remount,size=$(($(df --output=used -k /cut/device | tail -1) + 0))k" /cut/device ;;
    esac
    kill -CONT $pid
    ended
    echo "came $came status $rc"
    mount -o remount,size=1g /cut/device
    off
    on
    see 2>/cut/seeing
    cat /cut/said /cut/seeing >&2
    off
    ;;
esac
