//! What the services declare: their `schema.sql` run in memory. SQL stands here.

use std::collections::BTreeMap;

use database::sqlite::authorizer;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::{
    error::{Error, Place},
    project::{Owner, Project},
    scratch::replay,
    sql,
    sqlite::schema::{Name, ObjectKind, Schema},
};

/// The declared schema, and whose each part of it is.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) schema: Schema,
    owners: BTreeMap<(ObjectKind, Name), String>,
}

impl Declared {
    /// Runs all declarations, in the order of the owners.
    ///
    /// # Errors
    ///
    /// [`Error::Declaration`] with its place if SQLite refuses one, and [`Error::Schema`] if
    /// what they make cannot be compared.
    pub(crate) async fn of(project: &Project) -> Result<Self, Error> {
        let mut memory = replay::connect().await?;
        let schema = Self::run(&mut memory, project).await;
        // Nothing in it is kept.
        let _ = memory.close().await;
        let mut schema = schema?;
        let mut owners = BTreeMap::new();
        for owner in &project.owners {
            schema.annotate(&owner.schema);
            for statement in sql::statements(&owner.schema) {
                if let Some(object) = crate::sqlite::schema::object(statement.text) {
                    owners.insert(object, owner.name.clone());
                }
            }
        }
        Ok(Self { schema, owners })
    }

    async fn run(memory: &mut SqliteConnection, project: &Project) -> Result<Schema, Error> {
        for owner in &project.owners {
            for statement in sql::statements(&owner.schema) {
                let result = sqlx::raw_sql(AssertSqlSafe(statement.text))
                    .execute(&mut *memory)
                    .await;
                if let Err(source) = result {
                    let offset = authorizer::error_offset(memory).await?.unwrap_or(0);
                    let place = place(owner, statement.offset + offset);
                    return Err(Error::Declaration { place, source });
                }
            }
        }
        Ok(Schema::read(memory).await?)
    }

    /// Who declares it.
    pub(crate) fn owner(&self, kind: ObjectKind, name: &Name) -> Option<&str> {
        let key = (kind, name.clone());
        self.owners.get(&key).map(String::as_str)
    }
}

fn place(owner: &Owner, offset: usize) -> Place {
    let position = sql::position(&owner.schema, offset);
    Place {
        file: format!("{}/schema.sql", owner.name),
        line: position.line,
        column: position.column,
    }
}
