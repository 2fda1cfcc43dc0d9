# shellcheck shell=bash
# Helpers of the checks: reports, assertions and calls.

passed=0 failed=0 skipped=''
# The exit code of the last check.
last=0

# check SENTENCE COMMAND…: runs the command in a subshell that ends at its first failure.
check() {
    local sentence=$1 start=$EPOCHREALTIME code log
    shift
    log=$work/logs/$(printf %02d $((passed + failed + 1))).log
    set +e
    (
        set -euo pipefail
        "$@"
    ) >"$log" 2>&1
    code=$? last=$code
    set -e
    if ((code == 0)); then
        passed=$((passed + 1))
        printf 'ok    %s (%.1f s)\n' "$sentence" "$(since "$start")"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$sentence"
        tail -n 15 "$log" | sed 's/^/      /'
        echo "      (full output: $log)"
    fi
}

skip() {
    skipped=$((${skipped:-0} + 1))
    echo "skip  $1: $2"
}

# since START: prints the seconds since a value of EPOCHREALTIME.
since() {
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}

# is NAME ACTUAL EXPECTED: fails if the values differ.
is() {
    [[ $2 == "$3" ]] || {
        echo "$1: \`$2\` instead of \`$3\`"
        return 1
    }
}

# contains NAME TEXT PART: fails if the text does not contain the part.
contains() {
    [[ $2 == *"$3"* ]] || {
        printf '%s does not contain "%s":\n%s\n' "$1" "$3" "$2"
        return 1
    }
}

# lacks NAME TEXT PART: fails if the text contains the part.
lacks() {
    [[ $2 != *"$3"* ]] || {
        printf '%s contains "%s":\n%s\n' "$1" "$3" "$2"
        return 1
    }
}

# at_most NAME NUMBER LIMIT: fails if the number exceeds the limit.
at_most() {
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a <= b) }' || {
        echo "$1: $2 exceeds $3"
        return 1
    }
}

# until_true SECONDS COMMAND…: repeats a command until it succeeds. `set -e` has no effect within a
# function that is called this way: chain its commands with `&&`.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || {
            echo "timed out: $*"
            "$@"
            return 1
        }
        sleep 0.2
    done
}

container() { # SERVICE [NUMBER]: prints the id of the first or the given container of a service
    docker compose "${profiles[@]}" ps --all --quiet "$1" | sed -n "${2:-1}p"
}

of() { # SERVICE TEMPLATE: prints the result of a `docker inspect` template for a service
    docker inspect --format "$2" "$(container "$1")"
}

healthy() {
    [[ $(of "$1" '{{.State.Health.Status}}') == healthy ]]
}

up() {
    docker compose up --wait --wait-timeout 120 "$@"
}

migrator() {
    docker compose run --rm -T migrator "$@"
}

# grpc ADDRESS METHOD [JSON]
grpc() {
    local service=$1 method=$2 body=${3:-}
    "$grpcurl" -plaintext -max-time 10 -d "${body:-{\}}" "$service" "$method"
}

create_user() { grpc "$users" microblog.user.v1.UserService/CreateUser "{\"user\": {\"nickname\": \"$1\", \"email\": \"$1@example.com\"}}"; }
create_post() { grpc "${2:-$posts}" microblog.post.v1.PostService/CreatePost "{\"post\": {\"author_id\": 1, \"body\": \"$1\"}}"; }
list_posts() { grpc "${1:-$posts}" microblog.post.v1.PostService/ListPosts "${2:-}"; }

field() { # EXPRESSION: evaluates a Python expression on the JSON object `it` on standard input
    python3 -c "import json, sys; it = json.load(sys.stdin); print($1)"
}

# Prints the bodies of all posts, one per line.
all_posts() {
    local token='' page
    while :; do
        page=$(list_posts "$posts" "{\"page_size\": 100, \"page_token\": \"$token\"}")
        field '"\n".join(p["body"] for p in it.get("posts", []))' <<<"$page"
        token=$(field 'it.get("nextPageToken", "")' <<<"$page")
        [[ -n $token ]] || break
    done
}

# Starts a background writer, which records acknowledged and failed posts and pauses after a
# failure.
writer=''
start_writing() {
    : >"$work/acknowledged"
    : >"$work/not-acknowledged"
    (
        number=0
        while :; do
            number=$((number + 1))
            if create_post "$1 $number" >/dev/null 2>>"$work/refusals"; then
                echo "$1 $number" >>"$work/acknowledged"
            else
                echo "$1 $number" >>"$work/not-acknowledged"
                sleep 0.1
            fi
        done
    ) &
    writer=$!
}
stop_writing() {
    [[ -n $writer ]] || return 0
    kill "$writer" 2>/dev/null || true
    wait "$writer" 2>/dev/null || true
    writer=''
}

# Fails if an acknowledged post is missing, or if no post was acknowledged.
no_acked_post_is_lost() {
    local missing
    [[ -s $work/acknowledged ]]
    missing=$(comm -23 <(sort "$work/acknowledged") <(all_posts | sort))
    echo "$(wc -l <"$work/acknowledged") acknowledged, $(wc -l <"$work/not-acknowledged") failed"
    is "missing posts" "$missing" ""
}
