#!/bin/sh
# root.sh SUITE OUT.tar   a small Debian with systemd, without a kernel package: no initramfs is made.
# Not for the kernel (kernel.sh) or for what makes the root a test machine (image.sh).
set -eu
suite=$1 out=$2
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c |
    sort -rn | awk '{print $2; exit}')
exec mmdebstrap --quiet --variant=minbase \
    --include=systemd-sysv,udev,dbus,kmod,acl,attr,xfsprogs,btrfs-progs \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --aptopt='APT::Install-Recommends "false"' --format=tar "$suite" "$out" "$mirror"
