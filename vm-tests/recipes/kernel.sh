#!/bin/sh
# kernel.sh SUITE OUTDIR   unpacks (never installs) Debian's cloud kernel: OUTDIR/vmlinuz, OUTDIR/lib/modules.
# That kernel has NVMe, ext4, PCI and 8250 built in, so that a root on an NVMe disk boots without an initrd.
# The suite need not be the one of this machine: apt gets a view of its own, below OUTDIR.
set -eu
suite=$1 out=$2
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c |
    sort -rn | awk '{print $2; exit}')
rm -rf "$out"
mkdir -p "$out/apt/lists/partial" "$out/apt/parts" "$out/apt/archives/partial" "$out/lib"
cd "$out"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror $suite main" >apt/sources.list
echo 'APT::Sandbox::User "root";' >apt/own.conf
export APT_CONFIG="$PWD/apt/own.conf"
view="-o Dir::Etc::sourcelist=$PWD/apt/sources.list -o Dir::Etc::sourceparts=$PWD/apt/parts
    -o Dir::State::Lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt
    -o Dir::Etc::preferencesparts=$PWD/apt/parts -o Dir::Etc::preferences=$PWD/apt/none
    -o Acquire::Languages=none -o Acquire::Retries=3"
# shellcheck disable=SC2086  # the view is many words
apt-get $view update -qq
# shellcheck disable=SC2086
package=$(apt-cache $view depends linux-image-cloud-amd64 |
    awk '/Depends: linux-image/ {print $2; exit}')
# shellcheck disable=SC2086
apt-get $view download -qq "$package"
dpkg-deb -x linux-image-*.deb unpacked
cp unpacked/boot/vmlinuz-* vmlinuz
if [ -d unpacked/lib/modules ]; then cp -a unpacked/lib/modules lib/; else cp -a unpacked/usr/lib/modules lib/; fi
rm -rf unpacked apt linux-image-*.deb
