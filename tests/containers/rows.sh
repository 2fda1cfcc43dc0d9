# shellcheck shell=bash
# Checks each option of docker-compose.yml on running containers.

services=(user-service post-service)

started() {
    up
    healthy user-service
    healthy post-service
    is "the exit code of the migrator" "$(of migrator '{{.State.ExitCode}}')" 0
    is "the state of the migrator" "$(of migrator '{{.State.Status}}')" exited
}

started_warm() {
    local start seconds
    docker compose down --timeout 15
    start=$EPOCHREALTIME
    up
    seconds=$(since "$start")
    echo "up --wait took $seconds s"
    at_most "the warm start time" "$seconds" 15
}

# kernel SERVICE FILE: prints a file of /proc for process 1 of a service, read from another
# container, with single spaces. It shows the actual state instead of the engine's configuration.
kernel() {
    docker run --rm --network none --user 65532:65532 --pid "container:$(container "$1")" \
        "$LOOKING_IMAGE" cat "/proc/1/$2" | tr -s '[:blank:]' ' '
}

one_uid() {
    local service
    for service in "${services[@]}" migrator; do
        is "the user of $service" "$(of "$service" '{{.Config.User}}')" 65532:65532
    done
    for service in "${services[@]}"; do
        is "the uids of $service" "$(docker top "$(container "$service")" -o uid,pid | sed 1d | awk '{print $1}' | sort -u)" 65532
        contains "the kernel" "$(kernel "$service" status)" "Uid: 65532 65532 65532 65532"
        # Process 1 is the service, not a shell.
        contains "the kernel" "$(kernel "$service" status)" "Name: $service"
        contains "the kernel" "$(kernel "$service" status)" "Gid: 65532 65532 65532 65532"
    done
}

read_only_root() {
    local service mounts
    for service in "${services[@]}" migrator; do
        is "the root of $service" "$(of "$service" '{{.HostConfig.ReadonlyRootfs}}')" true
        contains "its /tmp" "$(of "$service" '{{index .HostConfig.Tmpfs "/tmp"}}')" "size=16m"
        contains "its /tmp" "$(of "$service" '{{index .HostConfig.Tmpfs "/tmp"}}')" "noexec"
    done
    for service in "${services[@]}"; do
        mounts=$(kernel "$service" mountinfo)
        contains "the root of $service" "$(awk '$5 == "/" { print $6 "," }' <<<"$mounts")" "ro,"
        is "its /tmp" "$(awk '$5 == "/tmp" { print $6 }' <<<"$mounts")" rw,nosuid,nodev,noexec,relatime
        contains "its /tmp" "$(grep ' /tmp ' <<<"$mounts")" size=16384k
        # The volume is the only writable disk mount.
        is "the writable mounts" "$(awk '$6 ~ /^rw/ && $0 ~ / - (ext|xfs|btrfs|overlay|zfs)/ { print $5 }' <<<"$mounts" |
            grep -vxE '/etc/(hosts|hostname|resolv.conf)')" /data
    done
}

no_capabilities() {
    local service status set
    for service in "${services[@]}" migrator; do
        is "the dropped capabilities of $service" "$(of "$service" '{{.HostConfig.CapDrop}}')" "[ALL]"
        is "its added capabilities" "$(of "$service" '{{.HostConfig.CapAdd}}')" "[]"
        is "its privileges" "$(of "$service" '{{.HostConfig.Privileged}}')" false
        is "its security options" "$(of "$service" '{{.HostConfig.SecurityOpt}}')" "[no-new-privileges:true]"
    done
    for service in "${services[@]}"; do
        status=$(kernel "$service" status)
        for set in CapInh CapPrm CapEff CapBnd CapAmb; do
            contains "the kernel of $service" "$status" "$set: 0000000000000000"
        done
        contains "the kernel of $service" "$status" "NoNewPrivs: 1"
    done
}

limits() {
    local service limits
    for service in "${services[@]}" migrator; do
        is "the memory of $service" "$(of "$service" '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}')" "268435456 268435456"
        is "its processes" "$(of "$service" '{{.HostConfig.PidsLimit}}')" 128
        is "its CPUs" "$(of "$service" '{{.HostConfig.NanoCpus}}')" 1000000000
        contains "its files" "$(of "$service" '{{json .HostConfig.Ulimits}}')" '{"Name":"nofile","Hard":2048,"Soft":2048}'
        contains "its core files" "$(of "$service" '{{json .HostConfig.Ulimits}}')" '{"Name":"core","Hard":0,"Soft":0}'
    done
    for service in "${services[@]}"; do
        limits=$(kernel "$service" limits)
        contains "the kernel of $service" "$limits" "Max open files 2048 2048"
        contains "the kernel of $service" "$limits" "Max core file size 0 0"
        contains "its memory use" "$(docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}} threads' \
            "$(container "$service")" | tee /dev/stderr)" "/ 256MiB"
    done
}

restarts_and_grace() {
    local service
    for service in "${services[@]}"; do
        is "the restart policy of $service" "$(of "$service" '{{.HostConfig.RestartPolicy.Name}}')" unless-stopped
        # DRAIN_DELAY and DRAIN_TIMEOUT are 11 s.
        is "its grace" "$(of "$service" '{{.Config.StopTimeout}}')" 15
        contains "its drain" "$(of "$service" '{{.Config.Env}}')" DRAIN_TIMEOUT=10s
    done
    is "the restart policy of the migrator" "$(of migrator '{{.HostConfig.RestartPolicy.Name}}')" no
}

logs() {
    local service
    for service in "${services[@]}" migrator; do
        is "the logs of $service" "$(of "$service" '{{json .HostConfig.LogConfig}}')" \
            '{"Type":"json-file","Config":{"max-file":"5","max-size":"10m"}}'
    done
    for service in "${services[@]}"; do
        docker logs "$(container "$service")" 2>"$work/stderr" | python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert lines, "no line"
print(len(lines), "lines, all JSON, such as", lines[-1])'
        is "standard error of $service" "$(cat "$work/stderr")" ""
    done
}

own_healthcheck() {
    local service
    for service in "${services[@]}"; do
        is "the health check of $service" "$(of "$service" '{{.Config.Healthcheck.Test}}')" "[CMD /usr/local/bin/$service healthcheck]"
        docker exec "$(container "$service")" "/usr/local/bin/$service" healthcheck
        # The times include the start of the process by the engine.
        docker inspect --format '{{json .State.Health.Log}}' "$(container "$service")" | python3 -c '
import json, re, sys
from datetime import datetime
def at(text):
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text.replace("Z", "+00:00")))
took = [(at(it["End"]) - at(it["Start"])).total_seconds() for it in json.load(sys.stdin)]
print(len(took), "health checks took", took)
assert took and max(took) < 2, took'
    done
}

published_on_loopback_only() {
    is "the user service" "$(of user-service '{{json .HostConfig.PortBindings}}')" \
        '{"50051/tcp":[{"HostIp":"127.0.0.1","HostPort":"55051"}]}'
    is "the post service" "$(of post-service '{{json .HostConfig.PortBindings}}')" \
        '{"50052/tcp":[{"HostIp":"127.0.0.1","HostPort":"55052"}]}'
    is "the migrator" "$(of migrator '{{.HostConfig.NetworkMode}}')" none
    # Connections to other addresses of this machine must fail.
    python3 -c '
import socket, subprocess, sys
addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
def connects(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(3)
        return client.connect_ex((address, port)) == 0
for port in map(int, sys.argv[1:]):
    assert connects("127.0.0.1", port), port
    for address in addresses:
        assert not connects(address, port), (address, port)
print("refused on", *addresses)' "${users##*:}" "${posts##*:}"
    # Without the variables of this test, the default ports are published.
    env -u USER_SERVICE_PORT -u POST_SERVICE_PORTS docker compose config --format json | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
for name, port in ("user-service", 50051), ("post-service", 50052):
    (found,) = services[name]["ports"]
    assert (found["host_ip"], int(found["published"]), found["target"]) == ("127.0.0.1", port, port), found'
}

networks() {
    local network
    is "the internal network" "$(docker network inspect -f '{{.Internal}}' "${COMPOSE_PROJECT_NAME}_internal")" true
    for network in users posts; do
        is "$network" "$(docker network inspect -f '{{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}' "${COMPOSE_PROJECT_NAME}_$network")" false
    done
    # The services share only the internal network.
    is "common networks" "$(comm -12 <(networks_of user-service) <(networks_of post-service))" "${COMPOSE_PROJECT_NAME}_internal"
}
networks_of() {
    # shellcheck disable=SC2016 # The template is Go, not shell.
    of "$1" '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' | sort -u | sed /^$/d
}

one_volume() {
    local service
    for service in "${services[@]}" migrator; do
        is "the mounts of $service" \
            "$(of "$service" '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}')" \
            "volume ${COMPOSE_PROJECT_NAME}_data /data true"
    done
    docker cp "$(container user-service):/data" - | tar --numeric-owner -tvf - | tee "$work/files"
    contains "the directory" "$(tr -s ' ' <"$work/files")" "drwx------ 65532/65532 0"
    grep -q '^-rw------- 65532/65532 .* data/microblog.db$' "$work/files"
    is "files that are not private" "$(grep '^-' "$work/files" | grep -vE '^-rw------- 65532/65532 ' || true)" ""
}

rows() {
    check "\`up --wait\` migrates the database and starts healthy services" started
    check "a warm start takes at most 15 s" started_warm
    check "all processes run as uid 65532" one_uid
    check "the root is read-only, and /tmp is a small tmpfs" read_only_root
    check "no process has or can gain capabilities" no_capabilities
    check "memory, processes, files and CPUs are limited" limits
    check "services restart automatically and have time to drain" restarts_and_grace
    check "logs are JSON and rotated" logs
    check "health checks use the subcommand of the service" own_healthcheck
    check "ports are published on 127.0.0.1 only" published_on_loopback_only
    check "the services share only an isolated network" networks
    check "the volume is private to one uid" one_volume
}
