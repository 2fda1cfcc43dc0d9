# shellcheck shell=bash
# The contract, from outside and against the containers: each service through its published
# port, and what only shows between the two. The tests of the workspace have it whole.

user_calls=microblog.user.v1.UserService
post_calls=microblog.post.v1.PostService

# refuses REASON ADDRESS METHOD JSON
refuses() {
    local code=0 said
    said=$(grpc "$2" "$3" "$4" 2>&1) || code=$?
    ((code != 0)) || {
        echo "$3 $4 is not refused: $said"
        return 1
    }
    says "the refusal of $3 $4" "$said" "\"reason\":\"$1\""
}

# Health, as a probe asks for it, and the contract, as grpcurl does.
found_out() {
    local address name
    for address in "$users" "$posts"; do
        says "the health" "$(grpc "$address" grpc.health.v1.Health/Check)" '"SERVING"'
        name=$user_calls
        [[ $address == "$users" ]] || name=$post_calls
        says "the health" "$(grpc "$address" grpc.health.v1.Health/Check "{\"service\": \"$name\"}")" '"SERVING"'
        says "reflection" "$("$grpcurl" -plaintext "$address" list)" "$name"
        says "its comments" "$("$grpcurl" -plaintext "$address" describe "$name")" "//"
    done
}

users_contract() {
    local user id etag token
    user=$(create_user susan)
    id=$(field 'it["user"]["id"]' <<<"$user")
    etag=$(field 'it["user"]["etag"]' <<<"$user")
    refuses NICKNAME_TAKEN "$users" $user_calls/CreateUser '{"user": {"nickname": "SUSAN", "email": "s@example.com"}}'
    refuses EMAIL_TAKEN "$users" $user_calls/CreateUser '{"user": {"nickname": "sue", "email": "susan@example.com"}}'
    refuses USER_NOT_FOUND "$users" $user_calls/GetUser '{"id": 999999}'
    is "who it is" "$(grpc "$users" $user_calls/LookupUser '{"nickname": "susan"}' | field 'it["user"]["id"]')" "$id"

    # A change of what somebody else has changed meanwhile is refused.
    says "what is changed" "$(grpc "$users" $user_calls/UpdateUser "{\"user\": {\"id\": $id, \"role\": \"ROLE_ADMIN\", \"etag\": \"$etag\"}}")" ROLE_ADMIN
    refuses ETAG_MISMATCH "$users" $user_calls/UpdateUser \
        "{\"user\": {\"id\": $id, \"role\": \"ROLE_USER\", \"etag\": \"$etag\"}}"

    # The same request twice is done once.
    token=$(python3 -c 'import uuid; print(uuid.uuid4())')
    user="{\"user\": {\"nickname\": \"david\", \"email\": \"david@example.com\"}, \"request_id\": \"$token\"}"
    is "the answer to a repeat" "$(grpc "$users" $user_calls/CreateUser "$user")" "$(grpc "$users" $user_calls/CreateUser "$user")"
}

posts_contract() {
    local susan post page second number
    susan=$(grpc "$users" $user_calls/LookupUser '{"nickname": "susan"}' | field 'it["user"]["id"]')
    refuses AUTHOR_NOT_FOUND "$posts" $post_calls/CreatePost '{"post": {"author_id": 999999, "body": "nobody"}}'
    for number in 1 2 3; do
        post=$(grpc "$posts" $post_calls/CreatePost "{\"post\": {\"author_id\": $susan, \"body\": \"susan's $number\"}}")
        says "the author" "$post" '"nickname": "susan"'
    done
    # The other service's rows hold the account.
    refuses USER_HAS_POSTS "$users" $user_calls/DeleteUser "{\"id\": $susan}"

    # Page by page, the newest first.
    page=$(list_posts "$posts" "{\"author_id\": $susan, \"page_size\": 2}")
    second=$(list_posts "$posts" "{\"author_id\": $susan, \"page_size\": 2, \"page_token\": \"$(field 'it["nextPageToken"]' <<<"$page")\"}")
    is "the pages" "$(field '[p["body"][-1] for p in it["posts"]]' <<<"$page")$(field '[p["body"][-1] for p in it["posts"]]' <<<"$second")" \
        "['3', '2']['1']"

    grpc "$posts" $post_calls/DeletePost "{\"id\": $(field 'it["post"]["id"]' <<<"$post")}"
    refuses POST_NOT_FOUND "$posts" $post_calls/GetPost "{\"id\": $(field 'it["post"]["id"]' <<<"$post")}"
}

# Who watches is told of what comes after.
watched() {
    local watcher
    "$grpcurl" -plaintext -max-time 20 -d '{"after_id": 0}' "$posts" $post_calls/WatchPosts >"$work/watched" 2>&1 &
    watcher=$!
    create_post "seen while it was written"
    until_true 10 grep -q "seen while it was written" "$work/watched"
    kill "$watcher"
}

contract() {
    check "health and reflection answer for each service" found_out
    check "users are made, found and changed, and refusals have their reasons" users_contract
    check "posts have authors over the network between the services" posts_contract
    check "a watcher sees a new post" watched
}
