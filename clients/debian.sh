# Packages of Debian, unpacked into a folder: for what neither pip nor npm brings. Nothing is
# installed into the system, and nobody needs to be root, but for `apt-get update`.

unpack_debian() { # FOLDER PACKAGE…, with what is in them then under the folder
    local folder=$1 archives=$1/archives archive
    shift
    [[ ! -f $folder/unpacked ]] || return 0
    command -v apt-get >/dev/null || return 1
    mkdir -p "$archives"
    # A machine that is fresh knows no packages yet.
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
