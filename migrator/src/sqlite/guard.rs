//! What a migration may touch, given who owns what: a rule for SQLite itself to enforce.
//! Knows no SQL.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use database::sqlite::{Action, ActionCode};

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
        seen.alters |= action.code == ActionCode::AlterTable;
        match (action.code, action.arg1, action.arg2) {
            (ActionCode::CreateView, Some(view), _) => seen.made.push(Made::View(view.to_owned())),
            (ActionCode::CreateTrigger, _, Some(table)) => {
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
        let first = action.arg1.unwrap_or_default();
        let second = action.arg2.unwrap_or_default();
        let forbidden = |what: &str| Some(Denial::Forbidden(what.to_owned()));
        let touch = |name: &str, deed: String| self.touch(name, deed);
        match action.code {
            // ADD COLUMN with a CHECK looks through the rows like this.
            ActionCode::Pragma if alters && first == "quick_check" => None,
            ActionCode::Function if second.eq_ignore_ascii_case("load_extension") => {
                forbidden("load an extension")
            }
            ActionCode::Select | ActionCode::Recursive | ActionCode::Function => None,
            ActionCode::Read if second.is_empty() => touch(first, format!("read {first}")),
            ActionCode::Read => touch(first, format!("read {first}.{second}")),
            ActionCode::Insert => touch(first, format!("insert into {first}")),
            ActionCode::Update => touch(first, format!("update {first}.{second}")),
            ActionCode::Delete => touch(first, format!("delete from {first}")),
            ActionCode::CreateTable => touch(first, format!("create the table {first}")),
            ActionCode::CreateView => touch(first, format!("create the view {first}")),
            ActionCode::CreateIndex => touch(second, format!("create an index on {second}")),
            ActionCode::CreateTrigger => touch(second, format!("create a trigger on {second}")),
            ActionCode::DropTable => touch(first, format!("drop the table {first}")),
            ActionCode::DropView => touch(first, format!("drop the view {first}")),
            ActionCode::DropIndex => touch(second, format!("drop an index of {second}")),
            ActionCode::DropTrigger => touch(second, format!("drop a trigger of {second}")),
            ActionCode::AlterTable => touch(second, format!("alter {second}")),
            ActionCode::Reindex => touch(first, format!("reindex {first}")),
            ActionCode::Analyze => touch(first, format!("analyze {first}")),
            ActionCode::Attach => forbidden("attach a database"),
            ActionCode::Detach => forbidden("detach a database"),
            ActionCode::Pragma => forbidden(&format!("run pragma {first}")),
            ActionCode::Temporary => forbidden("make or drop what is temporary"),
            ActionCode::VirtualTable => forbidden("make or drop a virtual table"),
            ActionCode::Transaction => forbidden(&format!(
                "say {}, since a run is one transaction",
                first.to_ascii_lowercase()
            )),
            ActionCode::Savepoint => forbidden("use savepoints, since a run is one transaction"),
            ActionCode::Unknown => forbidden("do what this migrator does not know"),
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
            arg1: Some(first),
            arg2: Some("id"),
        };

        assert!(guard.allows(action(ActionCode::Read, "posts")));
        assert!(!guard.allows(action(ActionCode::Read, "users")));
        assert!(!guard.allows(action(ActionCode::Pragma, "user_version")));

        let first = Denial::Theirs {
            deed: "read users.id".into(),
            whose: "users".into(),
        };
        assert_eq!(guard.take(), (Some(first), Vec::new()));
        assert_eq!(guard.take(), (None, Vec::new()));
    }
}
