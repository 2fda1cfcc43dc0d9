# shellcheck shell=bash
# What the checks have in common: one line for each, and how the system is spoken to.

passed=0 failed=0 skipped=''
# The exit code of the last check.
last=0

# check SENTENCE COMMAND…: runs it in a shell of its own that ends at its first failure.
check() {
    local sentence=$1 begun=$EPOCHREALTIME code log
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
        printf 'ok    %s (%.1f s)\n' "$sentence" "$(since "$begun")"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$sentence"
        tail -n 15 "$log" | sed 's/^/      /'
        echo "      (all of it: $log)"
    fi
}

skip() {
    skipped=$((${skipped:-0} + 1))
    echo "skip  $1: $2"
}

# Seconds since a moment, with their fractions.
since() {
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}

# is WHAT IT EXPECTED: fails and says why.
is() {
    [[ $2 == "$3" ]] || {
        echo "$1 is \`$2\`, not \`$3\`"
        return 1
    }
}

# The same for part of a text.
says() {
    [[ $2 == *"$3"* ]] || {
        printf '%s does not say "%s", but:\n%s\n' "$1" "$3" "$2"
        return 1
    }
}

# does_not_say WHAT IT FORBIDDEN
does_not_say() {
    [[ $2 != *"$3"* ]] || {
        printf '%s says "%s":\n%s\n' "$1" "$3" "$2"
        return 1
    }
}

# at_most WHAT NUMBER LIMIT
at_most() {
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a <= b) }' || {
        echo "$1 is $2, more than $3"
        return 1
    }
}

# until_true SECONDS COMMAND…: asks until it succeeds. In a function that is asked this way
# nothing ends at its first failure: its commands are chained by `&&`.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || {
            echo "not within the time: $*"
            "$@"
            return 1
        }
        sleep 0.2
    done
}

container() { # of a service, the first or the given one
    docker compose "${profiles[@]}" ps --all --quiet "$1" | sed -n "${2:-1}p"
}

of() { # of a service what a template of `docker inspect` makes of it
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

field() { # of a JSON object on standard input, by a Python expression on `it`
    python3 -c "import json, sys; it = json.load(sys.stdin); print($1)"
}

# The bodies of all posts, one a line, page by page.
all_posts() {
    local token='' page
    while :; do
        page=$(list_posts "$posts" "{\"page_size\": 100, \"page_token\": \"$token\"}")
        field '"\n".join(p["body"] for p in it.get("posts", []))' <<<"$page"
        token=$(field 'it.get("nextPageToken", "")' <<<"$page")
        [[ -n $token ]] || break
    done
}

# Somebody who goes on writing, notes what was acknowledged, and tries again later what was not.
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

# Nothing that was acknowledged is missing, and there was something.
nothing_is_lost() {
    local missing
    [[ -s $work/acknowledged ]]
    missing=$(comm -23 <(sort "$work/acknowledged") <(all_posts | sort))
    echo "$(wc -l <"$work/acknowledged") acknowledged, $(wc -l <"$work/not-acknowledged") not"
    is "what is missing" "$missing" ""
}
