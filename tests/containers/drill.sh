# shellcheck shell=bash
# Write, back up, upgrade, roll back, restore, move: while somebody goes on writing, and
# nothing that was acknowledged is lost.

# A version with one migration more: the sources beside this one, with a column declared,
# and what the migrator makes of it.
next=$work/next
newer_version() {
    rm -rf "$next"
    mkdir -p "$next"
    cp -R Dockerfile .dockerignore Cargo.toml Cargo.lock .cargo proto chassis user-service post-service migrator "$next/"
    sed -i "s/^    -- 0 a user, 1 an administrator\.\$/    -- What they say of themselves.\n    bio text not null default '' check (length(bio) <= 140),\n&/" \
        "$next/user-service/schema.sql"
    docker run --rm --network none --user "$(id -u):$(id -g)" -v "$next:/source" -w /source \
        "microblog/migrator:$TAG" migrate add_bio
    cp docker-compose.yml "$next/"
    # shellcheck disable=SC2086
    TAG=$TAG-next docker compose --project-directory "$next" --file "$next/docker-compose.yml" \
        build --quiet ${BUILD_ARGS:-} migrator user-service post-service
}

version() {
    migrator status --json | field 'it["result"]["version"]'
}

writes_before() {
    create_post "before the backup"
    start_writing_for 2 early
    nothing_is_lost
}

start_writing_for() {
    start_writing "$2"
    sleep "$1"
    stop_writing
}

backed_up() {
    says "the backup" "$(migrator backup)" "Backed up version"
    migrator backups --json >"$work/backups.json"
    field 'it["result"]["backups"][0]["path"]' <"$work/backups.json" >"$work/backup"
    all_posts | sort >"$work/posts-at-backup"
    cat "$work/backup"
}

upgraded() {
    TAG=$TAG-next up
    is "the version" "$(TAG=$TAG-next version)" "$(($(cat "$work/version") + 1))"
    is "the image" "$(of user-service '{{.Config.Image}}')" "microblog/user-service:$TAG-next"
}

upgrade_refused_back() {
    local said code=0
    # The older migrator does not know what it finds, and leaves it as it is.
    said=$(docker compose run --rm -T migrator upgrade 2>&1) || code=$?
    is "its exit code" "$code" 6
    echo "$said"
}

rolled_back() {
    # The older services work on the newer schema, and not the other way round.
    up --no-deps user-service post-service
    TAG=$TAG-next migrator downgrade
    up
    is "the version" "$(version)" "$(cat "$work/version")"
    is "the image" "$(of user-service '{{.Config.Image}}')" "microblog/user-service:$TAG"
}

restored() {
    grpc "$posts" microblog.post.v1.PostService/DeletePost '{"id": 1}'
    create_post "after the backup"
    migrator restore "$(cat "$work/backup")"
    healthy user-service
    healthy post-service
    is "what differs" "$(all_posts | sort | diff - "$work/posts-at-backup")" ""
    # And what was there before the restore is not gone either.
    says "the backups" "$(migrator backups)" "rescue before restore"
}

moved() {
    local other=$COMPOSE_PROJECT_NAME-other name
    name=$(basename "$(cat "$work/backup")")
    # As a tar stream, which keeps owner and mode.
    docker compose cp "user-service:$(cat "$work/backup")" - >"$work/moved.tar"
    export USER_SERVICE_PORT=55061 POST_SERVICE_PORTS=55062
    docker compose -p "$other" create migrator
    docker compose -p "$other" cp - migrator:/data <"$work/moved.tar"
    docker compose -p "$other" run --rm -T migrator restore "/data/$name"
    docker compose -p "$other" up --wait
    posts=127.0.0.1:55062
    is "what differs" "$(all_posts | sort | diff - "$work/posts-at-backup")" ""
    docker compose -p "$other" down --volumes
}

# Each step needs the ones before it.
drill() {
    check "what is acknowledged is there" writes_before
    check "it is backed up while it runs" backed_up
    ((last == 0)) || return 0
    check "a newer version is made, with one migration more" newer_version
    ((last == 0)) || return 0
    migrator status --json 2>/dev/null | field 'it["result"]["version"]' >"$work/version"
    start_writing "through the upgrade"
    check "it is upgraded while somebody writes" upgraded
    check "the older migrator refuses the newer database" upgrade_refused_back
    check "it is rolled back while somebody writes" rolled_back
    stop_writing
    ((last == 0)) || return 0
    check "upgrade and rollback lost nothing" nothing_is_lost
    check "a restore brings back what was backed up" restored
    check "it moves to another machine" moved
}
