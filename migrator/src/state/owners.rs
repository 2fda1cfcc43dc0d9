//! The owners of the objects in a database.

use std::collections::BTreeMap;

/// The owner of each table, view and index. Names ignore letter case, as in SQLite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners(BTreeMap<String, String>);

impl Owners {
    /// Returns the owner, or `None` if no migration created the object.
    pub(crate) fn owner(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Returns the owners after a migration of `owner` that left the objects `names`: existing
    /// objects keep their owner, and new ones belong to `owner`.
    pub(crate) fn after_migration<'a>(
        &self,
        owner: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Self {
        let owners = names.map(str::to_ascii_lowercase).map(|name| {
            let owner = self.0.get(&name).map_or(owner, String::as_str).to_owned();
            (name, owner)
        });
        Self(owners.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_objects_keep_their_owner_after_a_migration() {
        let before = Owners::default().after_migration("users", ["Users", "gone"].into_iter());

        let after = before.after_migration("posts", ["USERS", "posts"].into_iter());

        assert_eq!(after.owner("users"), Some("users"));
        assert_eq!(after.owner("Posts"), Some("posts"));
        assert_eq!(after.owner("gone"), None);
    }
}
