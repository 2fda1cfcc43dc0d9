# shellcheck shell=bash
# Runs the calls of the README and the commands of docs/operations.md against containers.

readme() {
    python3 "$here/readme.py" "$root/README.md" "$grpcurl" "$users" "$posts"
}

# Uses a separate system in a copy of the sources. A replacement of `git checkout` copies the
# sources of this or of the next version there.
operations() {
    local checkout=$work/checkout programs=$work/programs
    rm -rf "$checkout" "$programs"
    mkdir -p "$checkout/docs" "$programs"
    ln -s "$grpcurl" "$programs/grpcurl"
    cat >"$programs/git" <<END
#!/usr/bin/env bash
set -euo pipefail
[[ "\$1 \$2" == "checkout --quiet" ]]
case \$3 in
v0.1.0) from=$root ;;
v0.2.0) from=$next ;;
*) exit 1 ;;
esac
rm -rf migrator user-service post-service proto chassis
(cd "\$from" && tar --create Dockerfile .dockerignore Cargo.toml Cargo.lock .cargo docker-compose.yml \
    migrator user-service post-service proto chassis) | tar --extract
END
    chmod +x "$programs/git"
    cp docs/litestream.yml "$checkout/docs/"
    cd "$checkout"
    PATH=$programs:$PATH git checkout --quiet v0.1.0
    env -u TAG -u BACKUP_EVERY -u BACKUP_KEEP PATH="$programs:$PATH" \
        COMPOSE_PROJECT_NAME="$COMPOSE_PROJECT_NAME-operations" PORT_OFFSET=5020 \
        USER_SERVICE_PORT=55071 POST_SERVICE_PORTS=55072 \
        python3 "$here/document.py" "$root/docs/operations.md" "$@"
}

calls() {
    check "the calls of the README print the shown output" readme
}

record() {
    fetch_tools
    built
    newer_version
    litestream_image
    operations --record
}

procedures() {
    check "the commands of docs/operations.md print the shown output" operations
}
