-- The tables of the user service: the accounts, and the idempotency records.

create table users (
    -- From `user_head`. An id is never used twice, so a stored reference never means
    -- another user.
    id bigint primary key,
    -- As the Nickname profile of RFC 8266 leaves it, and as it is displayed.
    nickname text not null constraint users_nickname_check check (length(nickname) between 1 and 64),
    -- The comparison form of the nickname. Collation "C" orders by code points, as SQLite does.
    nickname_key text collate "C" not null
        constraint users_nickname_key_key unique
        constraint users_nickname_key_check check (nickname_key <> ''),
    -- As the caller wrote it.
    email text not null constraint users_email_check check (length(email) between 3 and 120),
    -- The comparison form of the email address, in one letter case.
    email_key text collate "C" not null
        constraint users_email_key_key unique
        constraint users_email_key_check check (email_key <> ''),
    -- 0 is a user, 1 an administrator.
    role smallint not null constraint users_role_check check (role in (0, 1)),
    -- Microseconds since the Unix epoch, UTC. It rises with the id, so the primary key
    -- serves the order by creation time, too.
    create_time bigint not null,
    -- Microseconds since the Unix epoch, UTC.
    update_time bigint not null,
    -- 1 for a new user, and one more after each update. It is a part of the etag.
    revision bigint not null constraint users_revision_check check (revision >= 1),
    constraint users_update_time_check check (update_time >= create_time)
);

-- Administrators are few. These indexes keep lists of them short in every order, and cost
-- nothing when an ordinary user is written.
create index admins_by_id on users (id) where role = 1;
create index admins_by_nickname on users (nickname_key) where role = 1;
create index admins_by_email on users (email_key) where role = 1;

-- One row with the last id and the last creation time. A creation updates it and holds its lock
-- until COMMIT, so ids become visible in their order. Vacuum keeps its versions few.
create table user_head (
    only_row boolean primary key default true constraint user_head_only_row_check check (only_row),
    id bigint not null,
    time bigint not null
) with (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

create table user_requests (
    -- For pruning.
    id bigint generated always as identity primary key,
    -- The UUID that the client chose.
    request_id uuid not null constraint user_requests_request_id_key unique,
    -- SHA-256 of the method and the payload: the same id with another payload is rejected.
    fingerprint bytea not null
        constraint user_requests_fingerprint_check check (length(fingerprint) = 32),
    -- The response, as JSON, for replays.
    result text not null,
    -- Microseconds since the Unix epoch, UTC. A replay within 24 hours gets the response.
    create_time bigint not null
);
create index user_requests_by_time on user_requests (create_time);

insert into user_head (id, time) values (0, 0);

grant select, insert, update, delete on users, user_requests to user_service;
grant select, update on user_head to user_service;
-- The foreign key of `posts`.
grant references (id) on users to post_owner;
