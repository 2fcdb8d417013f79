# Builds the base image of Debian hosts: a root by mmdebstrap, once for all filesystems, and a
# filesystem that has it. Runs in a mount namespace of its own.
# Arguments: directory of the cache, filesystem, size, suite, packages with commas, a script that
# fills the root while the network is there, with the root as its argument.
set -eu
cache=$1 kind=$2 size=$3 suite=$4 packages=$5 fill=$6
mount --make-rprivate /
tree=$cache/tree
if [ ! -d "$tree" ]; then
    rm -rf "$cache"/building
    mkdir "$cache"/building
    # The mirror that this machine is set up with, as far as its lists say; else the usual one.
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c |
        sort -rn | awk '{ print $2; exit }')
    TMPDIR=$cache/building mmdebstrap --quiet --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' --format=directory --customize-hook="$fill" \
        "$suite" "$cache/building/tree" ${mirror:+"$mirror"}
    # What systemd would do at each first boot.
    touch -d '+1 day' "$cache/building/tree/etc/.updated" "$cache/building/tree/var/.updated"
    echo 0123456789abcdef0123456789abcdef >"$cache/building/tree/etc/machine-id"
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
        fstrim.timer dpkg-db-backup.timer console-getty.service; do
        ln -sf /dev/null "$cache/building/tree/etc/systemd/system/$unit"
    done
    mv "$cache/building/tree" "$tree"
    rm -rf "$cache/building"
fi
image=$cache/base.$kind
rm -f "$image.new"
truncate -s "$size" "$image.new"
case $kind in
    ext4) mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 -F "$image.new" ;;
    *) mkfs."$kind" -q -f "$image.new" ;;
esac
mkdir -p "$cache/mnt"
mount -o loop "$image.new" "$cache/mnt"
cp -a "$tree/." "$cache/mnt/"
umount "$cache/mnt"
mv "$image.new" "$image"
