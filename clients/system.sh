# Starts both services for a client, on free ports and a new database.

binaries=${CARGO_TARGET_DIR:-target}/debug
# The addresses of the running services.
users='' posts=''
user_service='' post_service=''
# The address of a second user service on the same database.
replica='' replica_service=''

build_system() {
    cargo build --quiet --workspace --bins --locked
}

start_system() { # CLIENT: names its directory
    local folder=$work/system/$1
    rm -rf "$folder"
    mkdir -p "$folder"
    export DATABASE_URL=sqlite:$folder/microblog.db LOG_FORMAT=text RUST_LOG=info
    "$binaries/migrator" upgrade >"$folder/migrator.log"

    user_log=$folder/user-service.log replica_log=$folder/replica.log
    start_users 127.0.0.1:0
    users=$(address_in "$user_log")
    export USER_SERVICE_URL=http://$users
    post_log=$folder/post-service.log
    start_posts 127.0.0.1:0
    posts=$(address_in "$post_log")
}

start_users() { # ADDRESS
    "$binaries/user-service" --listen "$1" 2>>"$user_log" &
    user_service=$!
}

kill_users() {
    end "$user_service"
    user_service=''
}

start_replica() {
    "$binaries/user-service" --listen 127.0.0.1:0 2>"$replica_log" &
    replica_service=$!
    replica=$(address_in "$replica_log")
}

kill_replica() {
    end "$replica_service"
    replica_service=''
}

start_posts() { # ADDRESS
    "$binaries/post-service" --listen "$1" 2>>"$post_log" &
    post_service=$!
}

kill_posts() {
    end "$post_service"
    post_service=''
}

stop_system() {
    kill_posts
    kill_replica
    kill_users
}

end() { # PID: kills a process of this script
    [[ -n $1 ]] || return 0
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Reads the address of a service from its log.
address_in() {
    local address limit=$((SECONDS + 30))
    until address=$(grep -soPm1 'serving .* address=\K\S+' "$1"); do
        if ((SECONDS > limit)); then
            echo "the service is not serving: $(cat "$1")" >&2
            return 1
        fi
        sleep 0.05
    done
    echo "$address"
}
