# shellcheck shell=bash
# Freezes, kills and restarts parts of the system, and starts programs on unusable volumes.

resolved() {
    contains "the author" "$(list_posts "$posts" '{"page_size": 1}')" STATE_RESOLVED
}

frozen_users() {
    docker compose pause user-service
    # Authors are cached for AUTHOR_TTL. Afterwards posts are returned without them.
    until_true 10 without_author
    docker compose unpause user-service
    until_true 20 resolved
}
without_author() {
    local start=$EPOCHREALTIME response
    response=$(list_posts "$posts" '{"page_size": 1}') &&
        at_most "the response time" "$(since "$start")" 2 &&
        contains "the response" "$response" '"body"' &&
        lacks "the response" "$response" STATE_RESOLVED
}

frozen_posts() {
    docker compose pause post-service
    create_user "frozen$RANDOM"
    docker compose unpause post-service
    create_post "after the pause"
}

# Kills the process directly: the engine does not restart a container that it was told to kill.
kill_inside() {
    local pid
    pid=$(of "$1" '{{.State.Pid}}')
    grep -q "/usr/local/bin/$1" "/proc/$pid/cmdline"
    kill -KILL "$pid"
}

killed() {
    local restarts
    restarts=$(of "$1" '{{.RestartCount}}')
    kill_inside "$1"
    until_true 30 restarted "$1" "$restarts"
    until_true 30 healthy "$1"
}
restarted() { (($(of "$1" '{{.RestartCount}}') > $2)); }

can_kill() {
    local pid
    pid=$(of user-service '{{.State.Pid}}')
    [[ $(id -u) == 0 && -r /proc/$pid/cmdline ]] && grep -q user-service "/proc/$pid/cmdline"
}

# Prints the other containers on the engine, which its restart would affect.
others() {
    comm -13 <(docker ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" | sort) \
        <(docker ps --quiet | sort)
}

restart_engine() {
    local pid program command environment
    if [[ -n ${RESTART_ENGINE:-} ]]; then
        bash -c "$RESTART_ENGINE"
    elif systemctl is-active --quiet docker 2>/dev/null; then
        systemctl restart docker
    else
        pid=$(cat /var/run/docker.pid)
        # Restarts the engine with the same program, arguments and environment.
        program=$(readlink "/proc/$pid/exe")
        mapfile -d '' -t command <"/proc/$pid/cmdline"
        mapfile -d '' -t environment <"/proc/$pid/environ"
        kill "$pid"
        until_true 60 test ! -d "/proc/$pid"
        setsid nohup env -i "${environment[@]}" "$program" "${command[@]:1}" \
            >"$work/dockerd.log" 2>&1 </dev/null &
    fi
    until_true 60 docker info
}

engine_restarted() {
    local migrated
    migrated=$(of migrator '{{.State.StartedAt}}')
    all_posts | sort >"$work/posts-before"
    restart_engine
    until_true 60 healthy user-service
    until_true 60 healthy post-service
    until_true 20 resolved
    is "different posts" "$(all_posts | sort | diff - "$work/posts-before")" ""
    # A restart of the engine ignores dependencies: the migrator must not run again.
    is "the migrator" "$(of migrator '{{.State.Status}} {{.State.StartedAt}}')" "exited $migrated"
}

# exits_with IMAGE EXIT-CODE TEXT DOCKER-RUN-ARGUMENT…: fails unless the program exits with this
# code and one error line that contains the text.
exits_with() {
    local image=$1 expected=$2 text=$3 code=0 output
    shift 3
    output=$(docker run --rm --network none --read-only --cap-drop ALL -e LOG_FORMAT=text "$@" \
        "microblog/$image:$TAG" 2>&1) || code=$?
    echo "$image, exit code $code: $output"
    is "the exit code of $image" "$code" "$expected"
    is "the number of lines" "$(wc -l <<<"$output")" 1
    contains "the error" "$output" "$text"
}

another_uid() {
    local image
    for image in migrator user-service post-service; do
        exits_with "$image" 78 "belongs to uid 65532, and this process runs as uid 1234" \
            --user 1234:1234 -v "${COMPOSE_PROJECT_NAME}_data:/data"
    done
}

read_only_volume() {
    local image
    for image in migrator user-service post-service; do
        exits_with "$image" 78 "read-only" -v "${COMPOSE_PROJECT_NAME}_data:/data:ro"
    done
}

# In the log of the engine, the error is a line of JSON on standard output.
error_in_json() {
    local code=0 output
    output=$(docker run --rm --network none --user 1234:1234 -v "${COMPOSE_PROJECT_NAME}_data:/data" \
        "microblog/user-service:$TAG" 2>"$work/stderr") || code=$?
    is "the exit code" "$code" 78
    is "the level" "$(field 'it["level"]' <<<"$output")" ERROR
    contains "the error" "$output" "belongs to uid"
    is "standard error" "$(cat "$work/stderr")" ""
}

no_database() {
    exits_with user-service 75 "migrat" -e DATABASE_STARTUP_TIMEOUT=1s -e RUST_LOG=error --tmpfs /data:uid=65532,mode=0700
}

full_volume() {
    exits_with migrator 1 "full" --tmpfs /data:uid=65532,mode=0700,size=16k
}

failures() {
    check "posts are served while the user service is frozen" frozen_users
    check "users are created while the post service is frozen" frozen_posts
    if can_kill; then
        start_writing "through the kills"
        check "the user service restarts after SIGKILL" killed user-service
        check "the post service restarts after SIGKILL" killed post-service
        stop_writing
        check "the kills lost no acknowledged post" no_acked_post_is_lost
    else
        skip "the kills" "this user may not kill the processes of the containers"
    fi
    if [[ ${RESTART_ENGINE:-} == never ]]; then
        skip "the restart of the engine" "RESTART_ENGINE is never"
    elif [[ -z ${RESTART_ENGINE:-} && -n $(others) ]]; then
        skip "the restart of the engine" "other containers run on it; set RESTART_ENGINE to a command that restarts it"
    elif [[ -z ${RESTART_ENGINE:-} && $(id -u) != 0 ]]; then
        skip "the restart of the engine" "it needs root or RESTART_ENGINE"
    else
        check "the system recovers after a restart of the engine" engine_restarted
    fi
    check "a volume of another uid is rejected with one line" another_uid
    check "a read-only volume is rejected with one line" read_only_volume
    check "a full volume is rejected with one line" full_volume
    check "a missing database exits with 75 and one line" no_database
    check "a startup error is JSON if the log is" error_in_json
}
