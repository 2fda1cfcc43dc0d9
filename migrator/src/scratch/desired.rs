//! The declared schema: the services' `schema.sql` files executed on a scratch database. Knows no
//! SQL.

use std::collections::BTreeMap;

use super::Scratch;
use crate::{
    error::{Error, generate::GenerateError},
    project::Project,
    sql::{
        self, declaration,
        location::SourceLocation,
        name::{Name, ObjectKind},
        operation::created_object,
    },
    sqlite::{
        execute::{Script, StatementFailure},
        internal,
        schema::Schema,
    },
};

/// The declared schema and the owners of its objects.
#[derive(Debug)]
pub(crate) struct DesiredSchema {
    pub(crate) schema: Schema,
    owners: BTreeMap<(ObjectKind, Name), String>,
}

impl DesiredSchema {
    /// Executes all declarations, service by service.
    ///
    /// # Errors
    ///
    /// [`GenerateError::Declaration`] if SQLite rejects a declaration,
    /// [`GenerateError::NotDeclaration`] for a statement that declares nothing, and
    /// [`DatabaseError::Unsupported`](crate::DatabaseError::Unsupported) if the schema cannot be
    /// compared.
    pub(crate) async fn new(project: &Project) -> Result<Self, Error> {
        let mut scratch = Scratch::new().await?;
        for owner in &project.owners {
            let script = Script {
                owner: &owner.name,
                file: format!("{}/schema.sql", owner.name),
                text: &owner.schema,
            };
            reject_other_statements(&script)?;
            if let Some(StatementFailure { location, source }) = scratch.declare(&script).await? {
                return Err(GenerateError::Declaration { location, source }.into());
            }
        }
        let mut schema = Schema::clone(&*scratch.read_schema().await?);
        let mut owners = BTreeMap::new();
        for owner in &project.owners {
            schema.annotate(&owner.schema);
            for statement in sql::statements(&owner.schema) {
                if let Some(object) = created_object(statement.text) {
                    owners.insert(object, owner.name.clone());
                }
            }
        }
        Ok(Self { schema, owners })
    }

    /// Returns the service that declares the object.
    pub(crate) fn owner(&self, kind: ObjectKind, name: &Name) -> Option<&str> {
        let key = (kind, name.clone());
        self.owners.get(&key).map(String::as_str)
    }
}

/// Rejects a script with a statement whose effect no migration would have.
fn reject_other_statements(script: &Script<'_>) -> Result<(), GenerateError> {
    for statement in sql::statements(script.text) {
        let is_reserved = created_object(statement.text)
            .is_some_and(|(_, name)| internal::owner(name.folded()).is_some());
        let reason = declaration::rejection(statement.text)
            .or_else(|| is_reserved.then_some("its name is reserved: choose another one"));
        if let Some(reason) = reason {
            let location = SourceLocation::new(&script.file, script.text, statement.offset);
            return Err(GenerateError::NotDeclaration { location, reason });
        }
    }
    Ok(())
}
