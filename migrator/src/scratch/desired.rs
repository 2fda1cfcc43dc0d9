//! The declared schema: the owners' `schema.sql` files executed on a scratch database. Knows no
//! SQL.

use std::collections::BTreeMap;

use super::Scratch;
use crate::{
    error::{Error, generate::GenerateError},
    project::{Project, paths},
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
        usability::{UnusableObject, unusable_objects},
    },
};

/// The declared schema and the owners of its objects.
#[derive(Debug)]
pub(crate) struct DesiredSchema {
    pub(crate) schema: Schema,
    /// The declared objects that SQLite rejects when they are used.
    pub(crate) unusable: Vec<UnusableDeclaration>,
    owners: BTreeMap<(ObjectKind, Name), String>,
}

/// A declared object that cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct UnusableDeclaration {
    pub(crate) location: SourceLocation,
    pub(crate) object: UnusableObject,
}

impl DesiredSchema {
    /// Executes all declarations, owner by owner.
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
                file: paths::schema(&owner.name),
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
        let unusable = unusable_objects(scratch.connection(), &schema).await?;
        Ok(Self {
            unusable: unusable
                .into_iter()
                .filter_map(|object| UnusableDeclaration::new(project, &object))
                .collect(),
            schema,
            owners,
        })
    }

    /// Returns the owner that declares the object.
    pub(crate) fn owner(&self, kind: ObjectKind, name: &Name) -> Option<&str> {
        let key = (kind, name.clone());
        self.owners.get(&key).map(String::as_str)
    }
}

impl UnusableDeclaration {
    /// Finds the declaration of an object.
    fn new(project: &Project, object: &UnusableObject) -> Option<Self> {
        let key = (object.kind, object.name.clone());
        project.owners.iter().find_map(|owner| {
            let statement = sql::statements(&owner.schema)
                .into_iter()
                .find(|statement| created_object(statement.text).as_ref() == Some(&key))?;
            let file = paths::schema(&owner.name);
            Some(Self {
                location: SourceLocation::new(&file, &owner.schema, statement.offset),
                object: object.clone(),
            })
        })
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
