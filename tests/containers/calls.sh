# shellcheck shell=bash
# The calls of the README, as they stand there, against the containers.

readme() {
    python3 "$here/readme.py" "$root/README.md" "$grpcurl" "$users" "$posts"
}

calls() {
    check "the README's calls answer as it says" readme
}
