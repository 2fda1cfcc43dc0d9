//! The names and the texts that random schemas are made of.

pub(super) const TABLES: [&str; 10] = [
    "users",
    "posts",
    "two words",
    "group",
    "Tags",
    "new_users",
    "it's",
    "tags2",
    "Select",
    "a.b",
];
pub(super) const COLUMNS: [&str; 16] = [
    "id", "name", "bio", "a b", "order", "Key", "größe", "it's", "x\"y", "value", "text", "rowid",
    "From", "x`y", "c]d", "a.b",
];
pub(super) const VIEWS: [&str; 5] = ["v", "posts", "the view", "w", "View"];
pub(super) const TRIGGERS: [&str; 4] = ["tr", "on", "t r", "it's"];
pub(super) const INDEXES: [&str; 6] = ["i", "by name", "tags2", "w", "index", "k"];
pub(super) const TYPES: [&str; 14] = [
    "integer",
    "text",
    "blob",
    "real",
    "any",
    "",
    "numeric",
    "varchar(10)",
    "Long  Type(1, 2)",
    "varchar( 64 )",
    "varchar[10]",
    "decimal ( 10 , 2 )",
    "UNSIGNED BIG INT",
    "«odd type»",
];
pub(super) const CHECKS: [&str; 11] = [
    "check ({a} is null or {a} <> 'zz')",
    "check (length({a}) < 40)",
    "constraint c check ({a} is not 77 or {b} is null)",
    "check ({t}.{a} is not 'no')",
    "check ((typeof({a}) <> 'no' or {b} = {a}))",
    "check ({a} > -5)",
    "check ({a} in (1, 2, 'a'))",
    "check (cast({a} as text) is not 'text' collate nocase)",
    "check ({a} <> '')",
    "check ({a} is not «No»)",
    "check ({a} in («New», «Old») or {b} is not «x»)",
];
pub(super) const GENERATED: [&str; 5] = [
    " as ({a} || 'x')",
    " generated always as (coalesce({a}, 0)) virtual",
    " as (length({a})) stored",
    " as (typeof({a})) stored",
    " as ({a} || «Suffix»)",
];
pub(super) const INDEX: [&str; 8] = [
    "create index {n} on {t} ({a})",
    "create index {n} on {t} ({b} desc, {a} collate nocase)",
    "CREATE INDEX {n} on {t} (lower({a})) where {b} is not null",
    "create unique index {n} on {t} ({a}, {b})",
    "create unique index {n} on {t} ({a}) where {b} > 1",
    "create unique index {n} on {t} (length({a}))",
    "create index {n} on {t} ({b}) where {a} <> «Zz»",
    "create index if not exists {n} on {t} (coalesce({a}, {b}), {b})",
];
pub(super) const VIEW: [&str; 12] = [
    "create view {n} as select {a}, {b} as b from {t}",
    "create view {n} (one) as select {a} from {t} where {b} is not null",
    "create view {n} as select * from {t}",
    "create view {n} as select x.{a} as y from {t} x join {u} on x.{b} = {u}.{c}",
    "create view {n} as select * from {v}",
    "create view {n} as select count(*) as n from {v}",
    "create view {n} (one, two) as select {a}, {b} from {t}",
    "create view {n} (one) as select x.{a} from {t} as x
     where exists (select * from {u} where {u}.{c} = x.{b})",
    "create view {n} (one, two) as select {t}.{a}, y.{c} from {t} left join {u} y on y.{c} is {t}.{b}",
    "create view {n} (one) as select {v}.one from {v} where {v}.one in (select {a} from {t})",
    "CREATE VIEW IF NOT EXISTS {n} (one) as with c (k) as (select {a} from {t}) select k from c",
    "create view {n} as select {a} as label, «Text» as kind from {t} union all select {c}, «text» from {u}",
];
pub(super) const TRIGGER: [&str; 17] = [
    "create trigger {n} after insert on {t} begin select new.{a}; end",
    "CREATE TRIGGER {n} update of {a} on {t} when new.{b} is not old.{b}
     begin delete from {u} where {c} = 'gone'; select 1; end",
    "create trigger {n} before delete on {t} begin update {u} set {c} = {c} where 0; end",
    "create trigger {n} after delete on {t} begin insert into {u} ({c}) select {c} from {u} where 0; end",
    "create trigger {n} instead of insert on {v} begin select 1; end",
    "create trigger {n} before insert on {t} when new.{a} is 'no'
     begin select raise(ignore); end",
    "create trigger {n} after update of {a}, {b} on {t} for each row
     begin update {u} set {c} = new.{b} where {c} is old.{a}; end",
    "create trigger {n} after insert on {t} begin insert or ignore into {u} ({c}) values (new.{a}); end",
    "create trigger {n} after delete on {t} when old.{a} is not null
     begin insert into {u} values ({w}); end",
    "create trigger {n} after update on {t} begin insert or replace into {u} values ({w}); end",
    "create trigger {n} before delete on {t}
     begin select raise(abort, 'it''s kept') where old.{a} is «kept» or old.{b} = 'kept'; end",
    "create trigger if not exists {n} after delete on {t} begin delete from {u} where {c} = old.{a}; end",
    "create trigger {n} before update of {b} on {t}
     begin select case when new.{b} is «Bad» then raise(fail, 'bad') end; end",
    "create trigger {n} after insert on {t} when exists (select * from {u} where {c} = new.{a})
     begin update {t} set {a} = new.{a} where {b} is new.{b}; end",
    "create trigger {n} instead of insert on {v} begin insert into {u} ({c}) values (new.one); end",
    "create trigger {n} instead of update of one on {v}
     begin update {u} set {c} = new.one where {c} is old.one; end",
    "create trigger {n} instead of delete on {v} begin delete from {u} where {c} is old.one; end",
];
pub(super) const ACTIONS: [&str; 6] = [
    "",
    " on delete cascade",
    " on delete set null on update cascade",
    " on delete restrict",
    " deferrable initially deferred",
    " on delete set default",
];
pub(super) const CONFLICTS: [&str; 4] = ["", "", " on conflict replace", " on conflict ignore"];
