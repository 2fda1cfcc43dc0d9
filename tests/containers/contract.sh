# shellcheck shell=bash
# Checks parts of the contract against the containers, through the published ports and between the
# services. The tests of the workspace check all of it.

user_calls=microblog.user.v1.UserService
post_calls=microblog.post.v1.PostService

# fails_with REASON ADDRESS METHOD JSON
fails_with() {
    local code=0 output
    output=$(grpc "$2" "$3" "$4" 2>&1) || code=$?
    ((code != 0)) || {
        echo "$3 $4 succeeds: $output"
        return 1
    }
    contains "the error of $3 $4" "$output" "\"reason\":\"$1\""
}

health_and_reflection() {
    local address name
    for address in "$users" "$posts"; do
        contains "the health" "$(grpc "$address" grpc.health.v1.Health/Check)" '"SERVING"'
        name=$user_calls
        [[ $address == "$users" ]] || name=$post_calls
        contains "the health" "$(grpc "$address" grpc.health.v1.Health/Check "{\"service\": \"$name\"}")" '"SERVING"'
        contains "reflection" "$("$grpcurl" -plaintext "$address" list)" "$name"
        contains "the comments of the contract" "$("$grpcurl" -plaintext "$address" describe "$name")" "//"
    done
}

users_contract() {
    local user id etag token
    user=$(create_user susan)
    id=$(field 'it["user"]["id"]' <<<"$user")
    etag=$(field 'it["user"]["etag"]' <<<"$user")
    fails_with NICKNAME_TAKEN "$users" $user_calls/CreateUser '{"user": {"nickname": "SUSAN", "email": "s@example.com"}}'
    fails_with EMAIL_TAKEN "$users" $user_calls/CreateUser '{"user": {"nickname": "sue", "email": "susan@example.com"}}'
    fails_with USER_NOT_FOUND "$users" $user_calls/GetUser '{"id": 999999}'
    is "the id of the user" "$(grpc "$users" $user_calls/LookupUser '{"nickname": "susan"}' | field 'it["user"]["id"]')" "$id"

    # An update with an outdated etag fails.
    contains "the updated user" "$(grpc "$users" $user_calls/UpdateUser "{\"user\": {\"id\": $id, \"role\": \"ROLE_ADMIN\", \"etag\": \"$etag\"}}")" ROLE_ADMIN
    fails_with ETAG_MISMATCH "$users" $user_calls/UpdateUser \
        "{\"user\": {\"id\": $id, \"role\": \"ROLE_USER\", \"etag\": \"$etag\"}}"

    # A retry with the same request id returns the first response.
    token=$(python3 -c 'import uuid; print(uuid.uuid4())')
    user="{\"user\": {\"nickname\": \"david\", \"email\": \"david@example.com\"}, \"request_id\": \"$token\"}"
    is "the response to the retry" "$(grpc "$users" $user_calls/CreateUser "$user")" "$(grpc "$users" $user_calls/CreateUser "$user")"
}

posts_contract() {
    local susan post page second number
    susan=$(grpc "$users" $user_calls/LookupUser '{"nickname": "susan"}' | field 'it["user"]["id"]')
    fails_with AUTHOR_NOT_FOUND "$posts" $post_calls/CreatePost '{"post": {"author_id": 999999, "body": "nobody"}}'
    for number in 1 2 3; do
        post=$(grpc "$posts" $post_calls/CreatePost "{\"post\": {\"author_id\": $susan, \"body\": \"susan's $number\"}}")
        contains "the author" "$post" '"nickname": "susan"'
    done
    # Posts, which belong to the other service, prevent the deletion of their author.
    fails_with USER_HAS_POSTS "$users" $user_calls/DeleteUser "{\"id\": $susan}"

    # Pages list the newest posts first.
    page=$(list_posts "$posts" "{\"author_id\": $susan, \"page_size\": 2}")
    second=$(list_posts "$posts" "{\"author_id\": $susan, \"page_size\": 2, \"page_token\": \"$(field 'it["nextPageToken"]' <<<"$page")\"}")
    is "the pages" "$(field '[p["body"][-1] for p in it["posts"]]' <<<"$page")$(field '[p["body"][-1] for p in it["posts"]]' <<<"$second")" \
        "['3', '2']['1']"

    grpc "$posts" $post_calls/DeletePost "{\"id\": $(field 'it["post"]["id"]' <<<"$post")}"
    fails_with POST_NOT_FOUND "$posts" $post_calls/GetPost "{\"id\": $(field 'it["post"]["id"]' <<<"$post")}"
}

watched() {
    local watcher
    "$grpcurl" -plaintext -max-time 20 -d '{"after_id": 0}' "$posts" $post_calls/WatchPosts >"$work/watched" 2>&1 &
    watcher=$!
    create_post "seen while it was written"
    until_true 10 grep -q "seen while it was written" "$work/watched"
    kill "$watcher"
}

contract() {
    check "each service reports its health and its contract" health_and_reflection
    check "users are created, looked up and updated, and errors have reasons" users_contract
    check "posts include authors from the user service" posts_contract
    check "a watcher receives a new post" watched
}
