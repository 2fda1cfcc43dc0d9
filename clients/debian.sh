# Unpacks Debian packages into a directory, for tools that neither pip nor npm has. It installs nothing
# into the system, and only `apt-get update` needs root.

unpack_debian() { # FOLDER PACKAGE…: unpacks the packages into the directory
    local folder=$1 archives=$1/archives archive
    shift
    [[ ! -f $folder/unpacked ]] || return 0
    command -v apt-get >/dev/null || return 1
    mkdir -p "$archives"
    # A new machine has no package lists yet.
    download_debian "$archives" "$@" || { apt-get update -qq && download_debian "$archives" "$@"; } ||
        return 1
    for archive in "$archives"/*.deb; do
        dpkg-deb -x "$archive" "$folder"
    done
    touch "$folder/unpacked"
}

download_debian() {
    (
        cd "$1" || exit
        shift
        apt-get download -qq -o APT::Sandbox::User=root "$@"
    )
}

debian_version() { # FOLDER PACKAGE
    local archive
    archive=$(echo "$1/archives/$2"_*.deb)
    dpkg-deb -f "$archive" Version
}
