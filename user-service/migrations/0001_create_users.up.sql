-- What the user service owns: the accounts, and the requests that it has answered.

create table users (
    -- AUTOINCREMENT: an id is never used twice, so a reference that somebody kept
    -- can never come to mean another user.
    id integer primary key autoincrement,
    -- As the Nickname profile of RFC 8266 leaves it: what people see.
    nickname text not null check (length(nickname) between 1 and 64),
    -- Its comparison form. It comes from Rust: SQLite folds ASCII only.
    nickname_key text not null unique check (nickname_key <> ''),
    -- As the caller wrote it: what mail is sent to.
    email text not null check (length(email) between 3 and 120),
    -- Its comparison form, in one letter case.
    email_key text not null unique check (email_key <> ''),
    -- 0 a user, 1 an administrator.
    role integer not null check (role in (0, 1)),
    -- Microseconds since the Unix epoch, UTC. It rises with the id, so the primary
    -- key serves the order by creation as well.
    create_time integer not null,
    -- Microseconds since the Unix epoch, UTC.
    update_time integer not null check (update_time >= create_time),
    -- 1 at first, one more with every change. It is the etag.
    revision integer not null check (revision >= 1)
) strict;

-- Administrators are few. These make lists of them short in every order, and cost
-- nothing when an ordinary user is written.
create index admins_by_id on users (id) where role = 1;
create index admins_by_nickname on users (nickname_key) where role = 1;
create index admins_by_email on users (email_key) where role = 1;

create table user_requests (
    -- In the order of arrival, so that pruning begins at the oldest.
    id integer primary key autoincrement,
    -- The UUID that the client chose.
    request_id blob not null unique check (length(request_id) = 16),
    -- SHA-256 of the method and the payload: the same id with another payload is refused.
    fingerprint blob not null check (length(fingerprint) = 32),
    -- What was answered, as JSON, for the repeat.
    result text not null,
    -- Microseconds since the Unix epoch, UTC. A repeat within 24 hours of it is answered.
    create_time integer not null
) strict;
