# Fills the root of the hosts for packages, once, with the network, which its hosts do not have. Runs
# as a hook of mmdebstrap (its manual, "HOOKS"). Leaves in the root: a repository with the packages,
# as they are and as an older version, and three built source trees. Needs $packages and $sources.
# Argument: the root.
set -eu
root=$1
repository=$root/srv/repository
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir -p "$repository" "$root/usr/src"
# Documents and manuals are to be installed, and synced as on any host.
rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"

# shellcheck disable=SC2086 # names of packages are words
apt-get install --yes --download-only $packages
for deb in "$root"/var/cache/apt/archives/*.deb; do
    mv "$deb" "$repository/$(dpkg-deb -f "$deb" Package).deb"
done

# An older version of each, that an upgrade has something to do with: other configuration files, and a
# file, a link and a directory that are gone in the newer.
for package in $packages; do
    old=$root/tmp/old
    dpkg-deb -R "$repository/$package.deb" "$old"
    sed -i 's/^Version: .*/&~old/' "$old/DEBIAN/control"
    if [ -f "$old/DEBIAN/conffiles" ]; then
        grep '^/' "$old/DEBIAN/conffiles" | while read -r path; do echo '# old' >>"$old$path"; done
    fi
    mkdir -p "$old/usr/share/gone-$package"
    echo "$package" >"$old/usr/share/gone-$package/file"
    ln -s file "$old/usr/share/gone-$package/link"
    dpkg-deb -Znone -b "$old" "$repository/$package.old.deb"
    rm -rf "$old"
done

(
    cd "$repository"
    for deb in *.deb; do
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" \
            "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done >Packages
)

cp "$root/etc/apt/sources.list" "$root/tmp/sources.list"
sed -i 's/^deb /deb-src /' "$root/etc/apt/sources.list"
apt-get update
# shellcheck disable=SC2086
(cd "$root/usr/src" && apt-get source --download-only $sources)
for source in $sources; do
    rm -f "$root/usr/src/$source"_*.asc
    mkdir "$root/usr/src/$source"
    tar -x --no-same-owner --strip-components=1 -C "$root/usr/src/$source" \
        -f "$(echo "$root/usr/src/$source"_*.orig.tar.*)"
    (
        cd "$root/usr/src/$source"
        if [ -x configure ]; then ./configure --prefix=/usr/local; fi
        make -j2
        # They name headers that the hosts lack, and make would compile again for each.
        find . -name '*.Po' -exec truncate -s 0 {} +
    )
done
rm -f "$root"/usr/src/*.*

echo 'deb [trusted=yes] file:/srv/repository ./' >"$root/etc/apt/sources.list"
