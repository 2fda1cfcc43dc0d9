# Every row of docker-compose.yml, on the containers that run.

services=(user-service post-service)

started() {
    up
    healthy user-service
    healthy post-service
    is "the exit code of the migrator" "$(of migrator '{{.State.ExitCode}}')" 0
    is "its state" "$(of migrator '{{.State.Status}}')" exited
}

started_warm() {
    local begun seconds
    docker compose down --timeout 15
    begun=$EPOCHREALTIME
    up
    seconds=$(since "$begun")
    echo "up --wait took $seconds s"
    at_most "the time of a warm start" "$seconds" 15
}

# The status that the kernel gives of the process, where it is a process of this machine.
kernel() {
    local pid
    pid=$(of "$1" '{{.State.Pid}}')
    [[ -r /proc/$pid/status ]] && sed -n "s/^$2:[[:space:]]*//p" "/proc/$pid/status"
}

one_uid() {
    local service
    for service in "${services[@]}" migrator; do
        is "the user of $service" "$(of "$service" '{{.Config.User}}')" 65532:65532
    done
    for service in "${services[@]}"; do
        docker compose top "$service"
        docker top "$(container "$service")" -o uid,pid,args | sed 1d | while read -r uid _; do
            is "the uid of $service" "$uid" 65532
        done
    done
}

read_only_root() {
    local service pid
    for service in "${services[@]}" migrator; do
        is "the root of $service" "$(of "$service" '{{.HostConfig.ReadonlyRootfs}}')" true
        says "its /tmp" "$(of "$service" '{{index .HostConfig.Tmpfs "/tmp"}}')" "size=16m"
        says "its /tmp" "$(of "$service" '{{index .HostConfig.Tmpfs "/tmp"}}')" "noexec"
    done
    for service in "${services[@]}"; do
        pid=$(of "$service" '{{.State.Pid}}')
        [[ ! -r /proc/$pid/mountinfo ]] || awk '$5 == "/" { exit $6 !~ /^ro/ }' "/proc/$pid/mountinfo"
    done
}

no_capabilities() {
    local service found
    for service in "${services[@]}" migrator; do
        is "what $service drops" "$(of "$service" '{{.HostConfig.CapDrop}}')" "[ALL]"
        is "what it adds" "$(of "$service" '{{.HostConfig.CapAdd}}')" "[]"
        is "its privileges" "$(of "$service" '{{.HostConfig.Privileged}}')" false
        is "its security options" "$(of "$service" '{{.HostConfig.SecurityOpt}}')" "[no-new-privileges:true]"
    done
    for service in "${services[@]}"; do
        found=$(kernel "$service" CapEff || echo 0000000000000000)
        is "the effective capabilities of $service" "$found" 0000000000000000
        found=$(kernel "$service" CapBnd || echo 0000000000000000)
        is "the bounding set of $service" "$found" 0000000000000000
        is "no new privileges" "$(kernel "$service" NoNewPrivs || echo 1)" 1
    done
}

limits() {
    local service pid
    for service in "${services[@]}" migrator; do
        is "the memory of $service" "$(of "$service" '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}')" "268435456 268435456"
        is "its processes" "$(of "$service" '{{.HostConfig.PidsLimit}}')" 128
        is "its CPUs" "$(of "$service" '{{.HostConfig.NanoCpus}}')" 1000000000
        says "its files" "$(of "$service" '{{json .HostConfig.Ulimits}}')" '{"Name":"nofile","Hard":2048,"Soft":2048}'
        says "its core files" "$(of "$service" '{{json .HostConfig.Ulimits}}')" '{"Name":"core","Hard":0,"Soft":0}'
    done
    for service in "${services[@]}"; do
        pid=$(of "$service" '{{.State.Pid}}')
        [[ ! -r /proc/$pid/limits ]] || says "the kernel" "$(tr -s ' ' <"/proc/$pid/limits")" "Max open files 2048 2048"
        docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}} threads' "$(container "$service")"
    done
}

restarts_and_grace() {
    local service
    for service in "${services[@]}"; do
        is "the restart policy of $service" "$(of "$service" '{{.HostConfig.RestartPolicy.Name}}')" unless-stopped
        # DRAIN_PAUSE and DRAIN_LIMIT are 11 s.
        is "its grace" "$(of "$service" '{{.Config.StopTimeout}}')" 15
        says "its drain" "$(of "$service" '{{.Config.Env}}')" DRAIN_LIMIT=10s
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
        is "what asks $service" "$(of "$service" '{{.Config.Healthcheck.Test}}')" "[CMD /usr/local/bin/$service healthcheck]"
        docker exec "$(container "$service")" "/usr/local/bin/$service" healthcheck
    done
}

published_on_loopback_only() {
    is "the user service" "$(of user-service '{{json .HostConfig.PortBindings}}')" \
        '{"50051/tcp":[{"HostIp":"127.0.0.1","HostPort":"55051"}]}'
    is "the post service" "$(of post-service '{{json .HostConfig.PortBindings}}')" \
        '{"50052/tcp":[{"HostIp":"127.0.0.1","HostPort":"55052"}]}'
    is "the migrator" "$(of migrator '{{.HostConfig.NetworkMode}}')" none
    # Without the variables of this test, the ports of the documents.
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
    # The two meet on the internal one and nowhere else.
    is "common networks" "$(comm -12 <(networks_of user-service) <(networks_of post-service))" "${COMPOSE_PROJECT_NAME}_internal"
}
networks_of() {
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
    says "the folder" "$(tr -s ' ' <"$work/files")" "drwx------ 65532/65532 0"
    grep -q '^-rw------- 65532/65532 .* data/microblog.db$' "$work/files"
    ! grep -E '^-' "$work/files" | grep -vE '^-rw------- 65532/65532 '
}

rows() {
    check "\`up --wait\` starts it: migrated, both healthy" started
    check "a warm start takes at most 15 s" started_warm
    check "every process runs as 65532" one_uid
    check "the root is read-only, /tmp a small tmpfs" read_only_root
    check "no capability is left, and none can be gained" no_capabilities
    check "memory, processes, files and CPUs are limited" limits
    check "they start again by themselves, and are given time to drain" restarts_and_grace
    check "logs are JSON, and rotated" logs
    check "their health is asked by their own subcommand" own_healthcheck
    check "ports are published on 127.0.0.1 only" published_on_loopback_only
    check "the services meet on an internal network only, and nothing leads out" networks
    check "one volume, private to one uid" one_volume
}
