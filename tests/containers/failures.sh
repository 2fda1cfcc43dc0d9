# shellcheck shell=bash
# What happens to the rest while one part is frozen, killed, or started again, and what a
# service says about a volume that it cannot use.

resolved() {
    says "the author" "$(list_posts "$posts" '{"page_size": 1}')" STATE_RESOLVED
}

frozen_users() {
    docker compose pause user-service
    # Known authors may be remembered for AUTHOR_TTL; then posts come without them.
    until_true 10 without_author
    docker compose unpause user-service
    until_true 20 resolved
}
without_author() {
    local begun=$EPOCHREALTIME said
    said=$(list_posts "$posts" '{"page_size": 1}') &&
        at_most "the time of the answer" "$(since "$begun")" 2 &&
        says "the answer" "$said" '"body"' &&
        does_not_say "the answer" "$said" STATE_RESOLVED
}

frozen_posts() {
    docker compose pause post-service
    create_user "frozen$RANDOM"
    docker compose unpause post-service
    create_post "after the frost"
}

# From within: an engine does not start again what it was told to kill.
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

# What else runs on the engine would be restarted too.
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
        # As it was started: program, arguments, environment.
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
    is "what differs" "$(all_posts | sort | diff - "$work/posts-before")" ""
    # Depends on nothing: the one-shot did not run again.
    is "the migrator" "$(of migrator '{{.State.Status}} {{.State.StartedAt}}')" "exited $migrated"
}

# refused IMAGE EXIT-CODE WORDS ARGUMENTS-OF-RUN…: it says in one line what is wrong.
refused() {
    local image=$1 expected=$2 words=$3 code=0 said
    shift 3
    said=$(docker run --rm --network none --read-only --cap-drop ALL -e LOG_FORMAT=text "$@" \
        "microblog/$image:$TAG" 2>&1) || code=$?
    echo "$image, exit code $code: $said"
    is "the exit code of $image" "$code" "$expected"
    is "the lines" "$(wc -l <<<"$said")" 1
    says "it" "$said" "$words"
}

another_uid() {
    local image
    for image in migrator user-service post-service; do
        refused "$image" 78 "belongs to uid 65532, and this process runs as uid 1234" \
            --user 1234:1234 -v "${COMPOSE_PROJECT_NAME}_data:/data"
    done
}

read_only_volume() {
    local image
    for image in migrator user-service post-service; do
        refused "$image" 78 "read-only" -v "${COMPOSE_PROJECT_NAME}_data:/data:ro"
    done
}

# As the engine gives it to the logs: a line of JSON, on standard output.
refused_in_json() {
    local code=0 said
    said=$(docker run --rm --network none --user 1234:1234 -v "${COMPOSE_PROJECT_NAME}_data:/data" \
        "microblog/user-service:$TAG" 2>"$work/stderr") || code=$?
    is "its exit code" "$code" 78
    is "its level" "$(field 'it["level"]' <<<"$said")" ERROR
    says "it" "$said" "belongs to uid"
    is "standard error" "$(cat "$work/stderr")" ""
}

no_database() {
    refused user-service 75 "migrat" -e DATABASE_STARTUP_TIMEOUT=1s -e RUST_LOG=error --tmpfs /data:uid=65532,mode=0700
}

full_volume() {
    refused migrator 1 "full" --tmpfs /data:uid=65532,mode=0700,size=16k
}

failures() {
    check "posts are read while the user service is frozen" frozen_users
    check "accounts are made while the post service is frozen" frozen_posts
    if can_kill; then
        start_writing "through the kills"
        check "the user service comes back after a SIGKILL" killed user-service
        check "the post service comes back after a SIGKILL" killed post-service
        stop_writing
        check "the kills lost nothing" nothing_is_lost
    else
        skip "the kills" "the processes of the containers are not this user's to kill"
    fi
    if [[ ${RESTART_ENGINE:-} == never ]]; then
        skip "the restart of the engine" "RESTART_ENGINE is never"
    elif [[ -z ${RESTART_ENGINE:-} && -n $(others) ]]; then
        skip "the restart of the engine" "other containers run on it; RESTART_ENGINE says how to do it all the same"
    elif [[ -z ${RESTART_ENGINE:-} && $(id -u) != 0 ]]; then
        skip "the restart of the engine" "it takes root, or RESTART_ENGINE"
    else
        check "it comes back by itself after a restart of the engine" engine_restarted
    fi
    check "a volume of another uid is refused in one line" another_uid
    check "a volume that is read-only is refused in one line" read_only_volume
    check "a full volume is refused in one line" full_volume
    check "a database that is not there in time ends it with 75, in one line" no_database
    check "a refusal is JSON where the logs are" refused_in_json
}
