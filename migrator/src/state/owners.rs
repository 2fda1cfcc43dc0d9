//! Which service owns what in a database.

use std::collections::BTreeMap;

/// Who owns each table, view and index. SQLite tells no letter case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners(BTreeMap<String, String>);

impl Owners {
    /// Whose it is, or `None` if nobody's migration made it.
    pub(crate) fn owner(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Who owns what after a migration of `owner`: what is there belongs to whom it
    /// belonged to, what is new to `owner`, and what is gone to nobody.
    pub(crate) fn after_migration<'a>(
        &self,
        owner: &str,
        there: impl Iterator<Item = &'a str>,
    ) -> Self {
        let there = there.map(str::to_ascii_lowercase).map(|name| {
            let owner = self.0.get(&name).map_or(owner, String::as_str).to_owned();
            (name, owner)
        });
        Self(there.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_keeps_its_owner_and_what_is_new_is_the_migrations() {
        let before = Owners::default().after_migration("users", ["Users", "gone"].into_iter());

        let after = before.after_migration("posts", ["USERS", "posts"].into_iter());

        assert_eq!(after.owner("users"), Some("users"));
        assert_eq!(after.owner("Posts"), Some("posts"));
        assert_eq!(after.owner("gone"), None);
    }
}
