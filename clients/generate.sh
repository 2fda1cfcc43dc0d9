# Generates the code of all languages in proto/buf.gen.yaml by one `buf generate`.

# Debian packages: protoc, and the plugins that no other registry has as programs.
plugins=(protobuf-compiler protobuf-compiler-grpc protobuf-compiler-grpc-java-plugin protoc-gen-go protoc-gen-go-grpc)

# One generated file of each plugin.
generated=(
    python/microblog/user/v1/user_service_pb2.py
    python/microblog/user/v1/user_service_pb2.pyi
    python/microblog/user/v1/user_service_pb2_grpc.py
    typescript/microblog/user/v1/user_service.ts
    go/microblog/user/v1/user_service.pb.go
    go/microblog/user/v1/user_service_grpc.pb.go
    java/com/microblog/user/v1/User.java
    java/com/microblog/user/v1/UserServiceGrpc.java
)

generate() {
    local folder=$work/generate file tool
    for tool in pip npm; do
        command -v "$tool" >/dev/null || {
            echo "$tool is not installed; it provides buf and plugins" >&2
            return 77
        }
    done
    proto/check
    copy typescript
    npm ci --silent --prefix "$copies/typescript"
    programs "$folder" || {
        echo "protoc and the plugins for Python, Go and Java are Debian packages, which are not reachable" >&2
        return 77
    }

    rm -rf "$folder/gen"
    # proto/check has installed grpcio-tools, and npm has installed buf.
    PYTHONPATH=$(printf '%s\n' "$root"/target/tools/grpcio-tools-* | sort -V | tail -n 1) \
        PATH=$folder/bin:$copies/typescript/node_modules/.bin:$PATH \
        buf generate proto --template proto/buf.gen.yaml --output "$folder"
    for file in "${generated[@]}"; do
        grep -q User "$folder/gen/$file"
    done
    echo "versions: buf $("$copies/typescript/node_modules/.bin/buf" --version)," \
        "protoc $("$folder/bin/protoc" --version | cut -d' ' -f2)," \
        "$("$folder/bin/protoc-gen-go" --version 2>&1)" >&2
}

# Provides the programs of Debian under the names that buf expects, with their libraries. The names of
# the library packages contain their versions.
programs() {
    local libraries name program found
    unpack_debian "$1/debian" "${plugins[@]}" || return 1
    mapfile -t libraries < <(apt-cache depends --important "${plugins[@]}" |
        grep -oE 'lib(protobuf|protoc|grpc)[0-9.]+$' | sort -u)
    unpack_debian "$1/libraries" "${libraries[@]}" || return 1
    found=$(dirname "$(find "$1/libraries" -name 'libprotoc.so*' | head -n 1)")
    mkdir -p "$1/bin"
    for name in protoc grpc_python_plugin protoc-gen-go protoc-gen-go-grpc protoc-gen-grpc-java; do
        program=$1/debian/usr/bin/$name
        [[ $name != protoc-gen-grpc-java ]] || program=$1/debian/usr/bin/grpc_java_plugin
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$found" "$program" >"$1/bin/$name"
        chmod +x "$1/bin/$name"
    done
}
