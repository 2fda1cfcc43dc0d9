# shellcheck shell=bash
# Backs up, upgrades, rolls back, restores and moves the system while a writer runs. No acknowledged post
# may be lost.

# Creates the sources of a newer version with another column, and lets the migrator generate its
# migration.
next=$work/next
newer_version() {
    rm -rf "$next"
    mkdir -p "$next"
    cp -R Dockerfile .dockerignore Cargo.toml Cargo.lock .cargo proto chassis user-service post-service migrator "$next/"
    sed -i "s/^    -- 0 a user, 1 an administrator\.\$/    -- The text of the profile.\n    bio text not null default '' check (length(bio) <= 140),\n&/" \
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
    no_acked_post_is_lost
}

start_writing_for() {
    start_writing "$2"
    sleep "$1"
    stop_writing
}

backed_up() {
    contains "the backup" "$(migrator backup)" "Backed up version"
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

older_migrator_fails() {
    local output code=0
    # The older migrator does not know the newer version, and must not change the database.
    output=$(docker compose run --rm -T migrator upgrade 2>&1) || code=$?
    is "the exit code" "$code" 6
    echo "$output"
}

rolled_back() {
    # The older services work on the newer schema. The newer services do not work on the older schema.
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
    is "different posts" "$(all_posts | sort | diff - "$work/posts-at-backup")" ""
    # The state before the restore was backed up, too.
    contains "the backups" "$(migrator backups)" "rescue before restore"
}

moved() {
    local other=$COMPOSE_PROJECT_NAME-other name
    name=$(basename "$(cat "$work/backup")")
    # A tar stream keeps owner and mode.
    docker compose cp "user-service:$(cat "$work/backup")" - >"$work/moved.tar"
    export USER_SERVICE_PORT=55061 POST_SERVICE_PORTS=55062
    docker compose -p "$other" create migrator
    docker compose -p "$other" cp - migrator:/data <"$work/moved.tar"
    docker compose -p "$other" run --rm -T migrator restore "/data/$name"
    docker compose -p "$other" up --wait
    posts=127.0.0.1:55062
    is "different posts" "$(all_posts | sort | diff - "$work/posts-at-backup")" ""
    docker compose -p "$other" down --volumes
}

# Each step needs the ones before it.
drill() {
    check "acknowledged posts are stored" writes_before
    check "a backup succeeds while the services run" backed_up
    ((last == 0)) || return 0
    check "a newer version with another migration is built" newer_version
    ((last == 0)) || return 0
    migrator status --json 2>/dev/null | field 'it["result"]["version"]' >"$work/version"
    start_writing "through the upgrade"
    check "an upgrade succeeds while a writer runs" upgraded
    check "the older migrator rejects the newer database" older_migrator_fails
    check "a rollback succeeds while a writer runs" rolled_back
    stop_writing
    ((last == 0)) || return 0
    check "upgrade and rollback lost no acknowledged post" no_acked_post_is_lost
    check "a restore brings back the posts of the backup" restored
    check "the system moves to another machine" moved
}
