//! What a migration may touch, given who owns what: a rule for SQLite itself to enforce.
//! Knows no SQL.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use database::sqlite::{Action, Code};

use super::internal::{self, Keeper};
use crate::state::owners::Owners;

/// The owner of the migrator's own tables.
pub(crate) const MIGRATOR: &str = "migrator";

/// What a migration was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// What belongs to somebody else: the deed, and whose it is.
    Theirs { deed: String, whose: String },
    /// What no migration may do.
    Forbidden(String),
}

/// What a statement made that SQLite does not look into before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    View(String),
    /// A trigger on this table or view.
    TriggerOn(String),
}

/// What becomes of a statement that the rule denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It is refused.
    Enforce,
    /// It is executed, and the denial is noted.
    Record,
    /// There is no rule: whatever is executed is nobody's migration.
    Trust,
}

/// The rule for the migrations of one owner, and what it saw.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Rule>);

#[derive(Debug)]
struct Rule {
    owner: String,
    owners: Owners,
    policy: Policy,
    /// Whether the migrator's own statements run, which may do anything.
    trusting: AtomicBool,
    seen: Mutex<Seen>,
}

/// What one statement did.
#[derive(Debug, Default)]
struct Seen {
    denial: Option<Denial>,
    made: Vec<Made>,
    alters: bool,
}

impl Guard {
    /// A guard for a migration of `owner`, before which `owners` own what there is.
    pub(crate) fn new(owner: &str, owners: Owners, policy: Policy) -> Self {
        Self(Arc::new(Rule {
            owner: owner.to_owned(),
            owners,
            policy,
            trusting: AtomicBool::new(false),
            seen: Mutex::default(),
        }))
    }

    /// Whether the migrator itself speaks, and not the migration.
    pub(crate) fn trust(&self, trusting: bool) {
        self.0.trusting.store(trusting, Ordering::Release);
    }

    /// What was denied first since the last question, and what was made.
    pub(crate) fn take(&self) -> (Option<Denial>, Vec<Made>) {
        let Seen { denial, made, .. } = mem::take(&mut *self.seen());
        (denial, made)
    }

    /// The denial of what somebody else owns among some names.
    pub(crate) fn denies_naming(&self, names: impl Iterator<Item = String>) -> Option<Denial> {
        let mut names = names;
        names.find_map(|name| self.0.touch(&name, format!("name {name}")))
    }

    /// Whether a statement is let through.
    pub(crate) fn allows(&self, action: Action<'_>) -> bool {
        if self.0.policy == Policy::Trust || self.0.trusting.load(Ordering::Acquire) {
            return true;
        }
        let mut seen = self.seen();
        let denial = self.0.denies(action, seen.alters);
        seen.alters |= action.code == Code::AlterTable;
        match (action.code, action.first, action.second) {
            (Code::CreateView, Some(view), _) => seen.made.push(Made::View(view.to_owned())),
            (Code::CreateTrigger, _, Some(table)) => {
                seen.made.push(Made::TriggerOn(table.to_owned()));
            }
            _ => {}
        }
        let allowed = denial.is_none() || self.0.policy == Policy::Record;
        if seen.denial.is_none() {
            seen.denial = denial;
        }
        allowed
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn denies(&self, action: Action<'_>, alters: bool) -> Option<Denial> {
        let first = action.first.unwrap_or_default();
        let second = action.second.unwrap_or_default();
        let forbidden = |what: &str| Some(Denial::Forbidden(what.to_owned()));
        let touch = |name: &str, deed: String| self.touch(name, deed);
        match action.code {
            // ADD COLUMN with a CHECK looks through the rows like this.
            Code::Pragma if alters && first == "quick_check" => None,
            Code::Function if second.eq_ignore_ascii_case("load_extension") => {
                forbidden("load an extension")
            }
            Code::Select | Code::Recursive | Code::Function => None,
            Code::Read if second.is_empty() => touch(first, format!("read {first}")),
            Code::Read => touch(first, format!("read {first}.{second}")),
            Code::Insert => touch(first, format!("insert into {first}")),
            Code::Update => touch(first, format!("update {first}.{second}")),
            Code::Delete => touch(first, format!("delete from {first}")),
            Code::CreateTable => touch(first, format!("create the table {first}")),
            Code::CreateView => touch(first, format!("create the view {first}")),
            Code::CreateIndex => touch(second, format!("create an index on {second}")),
            Code::CreateTrigger => touch(second, format!("create a trigger on {second}")),
            Code::DropTable => touch(first, format!("drop the table {first}")),
            Code::DropView => touch(first, format!("drop the view {first}")),
            Code::DropIndex => touch(second, format!("drop an index of {second}")),
            Code::DropTrigger => touch(second, format!("drop a trigger of {second}")),
            Code::AlterTable => touch(second, format!("alter {second}")),
            Code::Reindex => touch(first, format!("reindex {first}")),
            Code::Analyze => touch(first, format!("analyze {first}")),
            Code::Attach => forbidden("attach a database"),
            Code::Detach => forbidden("detach a database"),
            Code::Pragma => forbidden(&format!("run pragma {first}")),
            Code::Temporary => forbidden("make or drop what is temporary"),
            Code::VirtualTable => forbidden("make or drop a virtual table"),
            Code::Transaction => forbidden(&format!(
                "say {}, since a run is one transaction",
                first.to_ascii_lowercase()
            )),
            Code::Savepoint => forbidden("use savepoints, since a run is one transaction"),
            Code::Unknown => forbidden("do what this migrator does not know"),
        }
    }

    /// Denies a deed on what belongs to somebody else.
    fn touch(&self, name: &str, deed: String) -> Option<Denial> {
        let whose = match internal::keeper(name) {
            // SQLite writes them when it alters, and a table that is rebuilt keeps its
            // sequence in `sqlite_sequence`; it guards the others by itself.
            Some(Keeper::Sqlite) => return None,
            Some(Keeper::Migrator) => MIGRATOR,
            Some(Keeper::Litestream) | None => self
                .owners
                .owner(name)
                .filter(|whose| *whose != self.owner)?,
        };
        let whose = whose.to_owned();
        Some(Denial::Theirs { deed, whose })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_denial_is_told() {
        let owners = Owners::default().after_migration("users", ["users"].into_iter());
        let guard = Guard::new("posts", owners, Policy::Enforce);
        let action = |code, first| Action {
            code,
            first: Some(first),
            second: Some("id"),
        };

        assert!(guard.allows(action(Code::Read, "posts")));
        assert!(!guard.allows(action(Code::Read, "users")));
        assert!(!guard.allows(action(Code::Pragma, "user_version")));

        let first = Denial::Theirs {
            deed: "read users.id".into(),
            whose: "users".into(),
        };
        assert_eq!(guard.take(), (Some(first), Vec::new()));
        assert_eq!(guard.take(), (None, Vec::new()));
    }
}
