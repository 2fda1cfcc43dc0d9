# shellcheck shell=bash
# The calls of the README, as they stand there, against the containers.

readme() {
    python3 "$here/readme.py" "$root/README.md" "$grpcurl" "$users" "$posts"
}

# On a system of its own, in a copy of the sources: `git checkout` of a version puts the
# sources of this or of the next one there.
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
    check "the README's calls answer as it says" readme
}

record() {
    fetch_tools
    built
    newer_version
    litestream_image
    operations --record
}

procedures() {
    check "docs/operations.md: each command prints what stands there" operations
}
