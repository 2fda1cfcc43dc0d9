-- The tables of the post service: the posts, and the idempotency records.

create table posts (
    -- From `post_head`. Ids become visible in their order, so a watcher that continues after the
    -- last id that it saw misses no post.
    id bigint primary key,
    -- In Normalization Form C.
    body text not null constraint posts_body_check check (length(body) between 1 and 140),
    -- Microseconds since the Unix epoch, UTC. It never falls as ids rise, so the primary key serves
    -- every order.
    create_time bigint not null,
    -- Microseconds since the Unix epoch, UTC.
    update_time bigint not null,
    -- 1 for a new post, and one more after each update. It is a part of the etag.
    revision bigint not null constraint posts_revision_check check (revision >= 1),
    -- The author. RESTRICT, not CASCADE: the user service may not delete posts, not even through a
    -- foreign key.
    user_id bigint not null
        constraint posts_user_id_fkey references users (id) on delete restrict,
    constraint posts_update_time_check check (update_time >= create_time)
);

-- The posts of an author in order, and the look-up of the foreign key when a user is deleted.
create index posts_by_user on posts (user_id, id);

-- One row with the last id and the last creation time. A creation updates it and holds its lock
-- until COMMIT, so ids become visible in their order. Vacuum keeps its versions few.
create table post_head (
    only_row boolean primary key default true constraint post_head_only_row_check check (only_row),
    id bigint not null,
    time bigint not null
) with (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

create table post_requests (
    -- For pruning.
    id bigint generated always as identity primary key,
    -- The UUID that the client chose.
    request_id uuid not null constraint post_requests_request_id_key unique,
    -- SHA-256 of the method and the payload: the same id with another payload is rejected.
    fingerprint bytea not null
        constraint post_requests_fingerprint_check check (length(fingerprint) = 32),
    -- The response, as JSON, for replays.
    result text not null,
    -- Microseconds since the Unix epoch, UTC. A replay within 24 hours gets the response.
    create_time bigint not null
);
create index post_requests_by_time on post_requests (create_time);
