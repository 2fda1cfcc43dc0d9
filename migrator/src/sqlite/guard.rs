//! The ownership rule: which tables a migration may touch. SQLite itself enforces it, through
//! the authorizer callback. Contains no SQL.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use database::sqlite::{Action, ActionCode};

use super::internal::{self, InternalOwner};
use crate::state::owners::Owners;

/// The owner of the migrator's own tables.
pub(crate) const MIGRATOR: &str = "migrator";

/// The reason why an operation is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The operation touches a table of another owner.
    NotOwned { operation: String, whose: String },
    /// No migration may do this operation.
    Forbidden(String),
}

/// An object whose body SQLite authorizes only when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CreatedObject {
    View(String),
    /// A trigger on this table or view.
    TriggerOn(String),
}

/// The handling of a denied statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Rejects it.
    Enforce,
    /// Executes it, and records the denial.
    Record,
    /// Allows everything: the statement is not part of a migration.
    Trust,
}

/// The ownership rule for the migrations of one owner, with a record of the last statement.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Rule>);

#[derive(Debug)]
struct Rule {
    owner: String,
    owners: Owners,
    policy: Policy,
    /// True if the migrator's own statements run, which are always allowed.
    trusted: AtomicBool,
    record: Mutex<StatementRecord>,
}

/// The authorizer's record of one statement.
#[derive(Debug, Default)]
struct StatementRecord {
    denial: Option<Denial>,
    created: Vec<CreatedObject>,
    alters: bool,
}

impl Guard {
    /// Returns the guard for a migration of `owner`, given the `owners` before it.
    pub(crate) fn new(owner: &str, owners: Owners, policy: Policy) -> Self {
        Self(Arc::new(Rule {
            owner: owner.to_owned(),
            owners,
            policy,
            trusted: AtomicBool::new(false),
            record: Mutex::default(),
        }))
    }

    /// Switches between the migrator's own statements and those of the migration.
    pub(crate) fn set_trusted(&self, trusted: bool) {
        self.0.trusted.store(trusted, Ordering::Release);
    }

    /// Returns the first denial since the last call, and the created objects.
    pub(crate) fn take_record(&self) -> (Option<Denial>, Vec<CreatedObject>) {
        let StatementRecord {
            denial, created, ..
        } = mem::take(&mut *self.record());
        (denial, created)
    }

    /// Returns the denial of the first name that another owner owns.
    pub(crate) fn deny_foreign_names(&self, names: impl Iterator<Item = String>) -> Option<Denial> {
        let mut names = names;
        names.find_map(|name| self.0.deny_foreign(&name, format!("name {name}")))
    }

    /// Reports whether SQLite may go on with an action.
    pub(crate) fn allows(&self, action: Action<'_>) -> bool {
        if self.0.policy == Policy::Trust || self.0.trusted.load(Ordering::Acquire) {
            return true;
        }
        let mut record = self.record();
        let denial = self.0.denies(action, record.alters);
        record.alters |= action.code == ActionCode::AlterTable;
        match (action.code, action.arg1, action.arg2) {
            (ActionCode::CreateView, Some(view), _) => {
                record.created.push(CreatedObject::View(view.to_owned()));
            }
            (ActionCode::CreateTrigger, _, Some(table)) => {
                record
                    .created
                    .push(CreatedObject::TriggerOn(table.to_owned()));
            }
            _ => {}
        }
        let allowed = denial.is_none() || self.0.policy == Policy::Record;
        if record.denial.is_none() {
            record.denial = denial;
        }
        allowed
    }

    fn record(&self) -> MutexGuard<'_, StatementRecord> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn denies(&self, action: Action<'_>, alters: bool) -> Option<Denial> {
        let first = action.arg1.unwrap_or_default();
        let second = action.arg2.unwrap_or_default();
        let forbidden = |what: &str| Some(Denial::Forbidden(what.to_owned()));
        let deny_foreign = |name: &str, operation: String| self.deny_foreign(name, operation);
        match action.code {
            // ALTER TABLE ADD COLUMN with a CHECK verifies the rows with this pragma.
            ActionCode::Pragma if alters && first == "quick_check" => None,
            ActionCode::Function if second.eq_ignore_ascii_case("load_extension") => {
                forbidden("load an extension")
            }
            ActionCode::Select | ActionCode::Recursive | ActionCode::Function => None,
            ActionCode::Read if second.is_empty() => deny_foreign(first, format!("read {first}")),
            ActionCode::Read => deny_foreign(first, format!("read {first}.{second}")),
            ActionCode::Insert => deny_foreign(first, format!("insert into {first}")),
            ActionCode::Update => deny_foreign(first, format!("update {first}.{second}")),
            ActionCode::Delete => deny_foreign(first, format!("delete from {first}")),
            ActionCode::CreateTable => deny_foreign(first, format!("create the table {first}")),
            ActionCode::CreateView => deny_foreign(first, format!("create the view {first}")),
            ActionCode::CreateIndex => deny_foreign(second, format!("create an index on {second}")),
            ActionCode::CreateTrigger => {
                deny_foreign(second, format!("create a trigger on {second}"))
            }
            ActionCode::DropTable => deny_foreign(first, format!("drop the table {first}")),
            ActionCode::DropView => deny_foreign(first, format!("drop the view {first}")),
            ActionCode::DropIndex => deny_foreign(second, format!("drop an index of {second}")),
            ActionCode::DropTrigger => deny_foreign(second, format!("drop a trigger of {second}")),
            ActionCode::AlterTable => deny_foreign(second, format!("alter {second}")),
            ActionCode::Reindex => deny_foreign(first, format!("reindex {first}")),
            ActionCode::Analyze => deny_foreign(first, format!("analyze {first}")),
            ActionCode::Attach => forbidden("attach a database"),
            ActionCode::Detach => forbidden("detach a database"),
            ActionCode::Pragma => forbidden(&format!("run pragma {first}")),
            ActionCode::Temporary => forbidden("create or drop a temporary object"),
            ActionCode::VirtualTable => forbidden("create or drop a virtual table"),
            ActionCode::Transaction => forbidden(&format!(
                "say {}, since a run is one transaction",
                first.to_ascii_lowercase()
            )),
            ActionCode::Savepoint => forbidden("use savepoints, since a run is one transaction"),
            ActionCode::Unknown => forbidden("do an operation that this migrator does not know"),
        }
    }

    /// Denies an operation on an object of another owner.
    fn deny_foreign(&self, name: &str, operation: String) -> Option<Denial> {
        let whose = match internal::owner(name) {
            // ALTER TABLE writes to SQLite's tables, and a table rebuild updates
            // `sqlite_sequence`.
            // SQLite protects the others.
            Some(InternalOwner::Sqlite) => return None,
            Some(InternalOwner::Migrator) => MIGRATOR,
            Some(InternalOwner::Litestream) | None => self
                .owners
                .owner(name)
                .filter(|whose| *whose != self.owner)?,
        };
        let whose = whose.to_owned();
        Some(Denial::NotOwned { operation, whose })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_denial_is_recorded() {
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

        let first = Denial::NotOwned {
            operation: "read users.id".into(),
            whose: "users".into(),
        };
        assert_eq!(guard.take_record(), (Some(first), Vec::new()));
        assert_eq!(guard.take_record(), (None, Vec::new()));
    }
}
