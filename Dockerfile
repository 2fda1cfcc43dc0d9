# One image for each program: `docker build --target user-service .`, and likewise
# `post-service` and `migrator`.
#
# Stages are ordered by how rarely their inputs change. A layer is rebuilt only if a copied file
# changed:
#   dependencies  third-party crates (SQLite, tonic, sqlx): manifests and Cargo.lock
#   shared        crates that several programs use: proto, chassis
#   build-…       the sources of one program
#
# Building needs Rust 1.94 or later. Both base images can be pinned:
#   docker build --build-arg RUST_IMAGE=rust:1-bookworm@sha256:… …
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# hadolint ignore=DL3006
FROM ${RUST_IMAGE} AS dependencies
WORKDIR /build
# The packages of every build below. A different selection would enable different features of the
# same crates, and compile them again.
ENV SELECTED="--release --locked -p proto -p process -p database -p serving -p chassis -p user-service -p post-service -p migrator"
# Packed relative relocations: 2 KB instead of 240 KB. They need glibc 2.36 or later.
ENV RUSTFLAGS="-C link-arg=-Wl,-z,pack-relative-relocs"
# No unwind tables for C code (SQLite, the allocator): no panic may unwind through it.
ENV CFLAGS="-fno-asynchronous-unwind-tables"
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY proto/Cargo.toml proto/
COPY chassis/Cargo.toml chassis/
COPY chassis/process/Cargo.toml chassis/process/
COPY chassis/database/Cargo.toml chassis/database/
COPY chassis/serving/Cargo.toml chassis/serving/
COPY user-service/Cargo.toml user-service/
COPY post-service/Cargo.toml post-service/
COPY migrator/Cargo.toml migrator/
# Empty crates replace those of the workspace, so that only their dependencies are compiled. Build
# scripts must exist: otherwise cargo skips the build dependencies.
RUN mkdir -p migrator/benches && touch migrator/benches/million.rs \
    && for crate in . proto chassis/process chassis/database chassis/serving chassis user-service post-service migrator; do \
        mkdir -p "$crate/src" && echo '//! Empty.' > "$crate/src/lib.rs" || exit 1; \
    done \
    && for program in src user-service/src post-service/src migrator/src; do \
        printf '//! Empty.\nfn main() {}\n' > "$program/main.rs"; \
    done \
    && for crate in proto chassis/serving migrator; do \
        printf '//! Empty.\nfn main() {}\n' > "$crate/build.rs"; \
    done
# hadolint ignore=SC2086
RUN cargo build $SELECTED --lib --bins

FROM dependencies AS shared
COPY proto proto
COPY chassis chassis
# Cargo compares modification times, and a copied file may be older than the empty crate that it
# replaces.
# hadolint ignore=SC2086
RUN find proto chassis -name '*.rs' -exec touch {} + \
    && cargo build $SELECTED --lib

FROM shared AS build-user-service
COPY user-service user-service
# hadolint ignore=SC2086
RUN find user-service -name '*.rs' -exec touch {} + \
    && cargo build $SELECTED --bin user-service

FROM shared AS build-post-service
COPY post-service post-service
# hadolint ignore=SC2086
RUN find post-service -name '*.rs' -exec touch {} + \
    && cargo build $SELECTED --bin post-service

FROM shared AS build-migrator
# The migrator embeds only the schema, the migrations and the statements of the services.
COPY user-service/schema.sql user-service/released.json user-service/
COPY user-service/migrations user-service/migrations
COPY user-service/.sqlx user-service/.sqlx
COPY post-service/schema.sql post-service/released.json post-service/
COPY post-service/migrations post-service/migrations
COPY post-service/.sqlx post-service/.sqlx
COPY migrator migrator
# hadolint ignore=SC2086
RUN find migrator -name '*.rs' -exec touch {} + \
    && cargo build $SELECTED --bin migrator

# The directory of the database. A new volume inherits its owner and mode.
# hadolint ignore=DL3006
FROM ${RUST_IMAGE} AS layout
RUN install -d -m 0700 -o 65532 -g 65532 /layout/data

# The base of the three images: the C library, an unprivileged user, no shell.
# hadolint ignore=DL3006
FROM ${RUNTIME_IMAGE} AS runtime
COPY --from=layout /layout/ /
ENV DATABASE_URL=sqlite:/data/microblog.db \
    LOG_FORMAT=json
USER 65532:65532
WORKDIR /data
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="microblog"

FROM runtime AS migrator
LABEL org.opencontainers.image.title="microblog migrator" \
      org.opencontainers.image.description="Creates, upgrades, backs up and restores the database of the microblog"
COPY --from=build-migrator /build/target/release/migrator /usr/local/bin/migrator
ENTRYPOINT ["/usr/local/bin/migrator"]
CMD ["upgrade"]

FROM runtime AS user-service
LABEL org.opencontainers.image.title="microblog user-service" \
      org.opencontainers.image.description="The user service of the microblog: owns the accounts"
ENV USER_SERVICE_LISTEN=0.0.0.0:50051
COPY --from=build-user-service /build/target/release/user-service /usr/local/bin/user-service
EXPOSE 50051
ENTRYPOINT ["/usr/local/bin/user-service"]

FROM runtime AS post-service
LABEL org.opencontainers.image.title="microblog post-service" \
      org.opencontainers.image.description="The post service of the microblog: owns the posts"
ENV POST_SERVICE_LISTEN=0.0.0.0:50052
COPY --from=build-post-service /build/target/release/post-service /usr/local/bin/post-service
EXPOSE 50052
ENTRYPOINT ["/usr/local/bin/post-service"]
