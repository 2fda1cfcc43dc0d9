-- What the post service owns: the posts, and the requests that it has answered.

create table posts (
    -- AUTOINCREMENT: an id is never used twice, so a watcher that goes on after the
    -- last id it saw misses nothing.
    id integer primary key autoincrement,
    -- In Normalization Form C.
    body text not null check (length(body) between 1 and 140),
    -- Microseconds since the Unix epoch, UTC. It never falls as ids rise, so the
    -- primary key serves every order.
    create_time integer not null,
    -- Microseconds since the Unix epoch, UTC.
    update_time integer not null check (update_time >= create_time),
    -- 1 at first, one more with every change. It is the etag.
    revision integer not null check (revision >= 1),
    -- Who wrote it. RESTRICT, not CASCADE: the user service may not delete posts, not
    -- even through a foreign key.
    user_id integer not null references users (id) on delete restrict
) strict;

-- An author's posts in order, and the foreign key's look-up when a user is deleted.
create index posts_by_user on posts (user_id, id);

create table post_requests (
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
