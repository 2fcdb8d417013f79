# Runs isconf on a filesystem in an image, cuts its power, and says what is there after the next
# start. Not for what is right: the caller compares. Usage: power VERB ARGUMENT…
set -eu
export IS_HOME=/data/is IS_REBOOT_CMD=true
# Nothing but isconf's own syncs may make anything durable.
case $(cat /cut/kind) in
ext4) options=loop,noauto_da_alloc,commit=300 ;;
btrfs) options=loop,commit=300 ;;
*) options=loop ;;
esac

on() {
    mount -o $options "/cut/$1" /data
    [ ! -d /data/o ] || mount -t overlay none /data/srv \
        -o lowerdir=/data/o/l,upperdir=/data/o/u,workdir=/data/o/w,redirect_dir=off
}

# The filesystem is gone when the loop device is, which the kernel lets go of a little later.
off() {
    ! grep -q ' /data/srv overlay ' /proc/mounts || until umount /data/srv 2>/dev/null; do :; done
    until umount /data 2>/dev/null; do :; done
    while losetup -j "/cut/$1" | grep -q .; do :; done
}

# From here on nothing reaches the image. btrfs cannot be shut down: of it the image is kept as it
# is while isconf stands still.
cut() {
    case $(cat /cut/kind) in
    btrfs) cp --sparse=always /cut/now /cut/then ;;
    *) xfs_io -x -c shutdown /data ;;
    esac
}

# A line starts with what the kernel, or isconf, says of a whole machine; times are left out.
see() {
    isconf status | sed 's/(since.*//; s/ [0-9a-f]\{12\}$//'
    echo "receipts $(isconf history | grep -c '^receipt ') entries $(isconf log | grep -c '^entry ')"
    sh /cut/look
}

case $1 in
# The image that each round starts with; made by a script.
base)
    echo "$2" >/cut/kind
    rm -f /cut/now && truncate -s 300M /cut/now
    "mkfs.$2" -q /cut/now >&2
    on now
    mkdir /data/is /data/srv
    sh -ec "$3" >&2
    off now
    mv /cut/now /cut/base
    ;;
# What a script makes of it when nothing is cut.
whole)
    cp --sparse=always /cut/base /cut/now
    on now
    sh -c "$2" >/dev/null 2>&1 || true
    see
    off now
    ;;
# What is there when it is cut at a point, or behind the end of the script.
cut)
    cp --sparse=always /cut/base /cut/now
    on now
    ISCONF_CRASH_AT="$2:1:pause" sh -c "exec $3" >/dev/null 2>&1 &
    pid=$!
    stands() { grep -q '^State:.[TZ]' "/proc/$pid/status" 2>/dev/null; }
    until stands || [ ! -d "/proc/$pid" ]; do :; done
    came=no
    ! grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null || came=yes
    cut
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    off now
    [ ! -e /cut/then ] || mv /cut/then /cut/now
    on now
    echo "came $came"
    see
    off now
    ;;
esac
