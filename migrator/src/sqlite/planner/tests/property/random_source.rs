//! The source of randomness of the schemas.

/// A list of numbers, with zeros after its end, so that fewer and smaller numbers make a simpler
/// case when proptest shrinks it.
pub(super) struct RandomSource {
    numbers: std::vec::IntoIter<u16>,
}

impl RandomSource {
    pub(super) fn new(numbers: Vec<u16>) -> Self {
        let numbers = numbers.into_iter();
        Self { numbers }
    }

    /// Returns a number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.numbers.next().unwrap_or_default()) % count.max(1)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

pub(super) const TABLES: [&str; 8] = [
    "users",
    "posts",
    "two words",
    "group",
    "Tags",
    "new_users",
    "it's",
    "tags2",
];
pub(super) const COLUMNS: [&str; 12] = [
    "id", "name", "bio", "a b", "order", "Key", "größe", "it's", "x\"y", "value", "text", "rowid",
];
pub(super) const VIEWS: [&str; 4] = ["v", "posts", "the view", "w"];
pub(super) const TRIGGERS: [&str; 3] = ["tr", "on", "t r"];
pub(super) const INDEXES: [&str; 6] = ["i", "by name", "tags2", "w", "index", "k"];
pub(super) const TYPES: [&str; 9] = [
    "integer",
    "text",
    "blob",
    "real",
    "any",
    "",
    "numeric",
    "varchar(10)",
    "Long  Type(1, 2)",
];
pub(super) const CHECKS: [&str; 9] = [
    "check ({a} is null or {a} <> 'zz')",
    "check (length({a}) < 40)",
    "constraint c check ({a} is not 77 or {b} is null)",
    "check ({t}.{a} is not 'no')",
    "check ((typeof({a}) <> 'no' or {b} = {a}))",
    "check ({a} > -5)",
    "check ({a} in (1, 2, 'a'))",
    "check (cast({a} as text) is not 'text' collate nocase)",
    "check ({a} <> '')",
];
pub(super) const GENERATED: [&str; 4] = [
    " as ({a} || 'x')",
    " generated always as (coalesce({a}, 0)) virtual",
    " as (length({a})) stored",
    " as (typeof({a})) stored",
];
pub(super) const INDEX: [&str; 6] = [
    "create index {n} on {t} ({a})",
    "create index {n} on {t} ({b} desc, {a} collate nocase)",
    "CREATE INDEX {n} on {t} (lower({a})) where {b} is not null",
    "create unique index {n} on {t} ({a}, {b})",
    "create unique index {n} on {t} ({a}) where {b} > 1",
    "create unique index {n} on {t} (length({a}))",
];
pub(super) const VIEW: [&str; 6] = [
    "create view {n} as select {a}, {b} as b from {t}",
    "create view {n} (one) as select {a} from {t} where {b} is not null",
    "create view {n} as select * from {t}",
    "create view {n} as select x.{a} as y from {t} x join {u} on x.{b} = {u}.{c}",
    "create view {n} as select * from {v}",
    "create view {n} as select count(*) as n from {v}",
];
pub(super) const TRIGGER: [&str; 5] = [
    "create trigger {n} after insert on {t} begin select new.{a}; end",
    "CREATE TRIGGER {n} update of {a} on {t} when new.{b} is not old.{b}
     begin delete from {u} where {c} = 'gone'; select 1; end",
    "create trigger {n} before delete on {t} begin update {u} set {c} = {c} where 0; end",
    "create trigger {n} after delete on {t} begin insert into {u} ({c}) select {c} from {u} where 0; end",
    "create trigger {n} instead of insert on {v} begin select 1; end",
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
