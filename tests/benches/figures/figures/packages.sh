# Makes a Debian root as an archive, with packages in /srv/packages that are not installed.
# Arguments: the archive, and the packages.
set -eu
archive=$1 packages=$2
work=$(mktemp -d "$archive.XXXX")
trap 'rm -rf "$work"' EXIT
# The mirror that this machine is set up with, as far as its lists say; else the usual one.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c |
    sort -rn | awk '{ print $2; exit }')
fetch="export APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\"
    apt-get install --yes --no-install-recommends --download-only $packages
    mkdir \"\$1/srv/packages\" && mv \"\$1\"/var/cache/apt/archives/*.deb \"\$1/srv/packages\""
TMPDIR=$work mmdebstrap --quiet --variant=apt --format=tar --aptopt='Acquire::Languages "none"' \
    --customize-hook="$fetch" bookworm "$work/root.tar" ${mirror:+"$mirror"}
mv "$work/root.tar" "$archive"
