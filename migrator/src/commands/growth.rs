//! Tests that the work of the commands grows linearly with the schema. Counts tokens and prepared
//! statements, since times depend on the load of the machine.

#[path = "../../benches/schemas/generated.rs"]
mod generated;

use std::time::Duration;

use database::settings::DatabaseUrl;
use tempfile::TempDir;

use crate::{
    Migrator, Project,
    error::exit::Exit,
    project::{Owner, ReleaseRecord},
    run::options::Run,
    sql::token::work::tokens,
    sqlite::execute::work::prepared,
    state::application::Application,
};

/// The most that the work may grow if the schema doubles.
const MAX_GROWTH: f64 = 2.5;

#[tokio::test]
async fn twice_the_schema_is_at_most_twice_the_work() {
    let small = work(1).await;

    let large = work(2).await;

    for ((name, small), (_, large)) in small.into_iter().zip(large) {
        let growth = f64::from(large) / f64::from(small);
        assert!(growth < MAX_GROWTH, "{name}: {small}, then {large}");
    }
}

/// Returns the work of each command on a generated schema.
async fn work(scale: usize) -> Vec<(&'static str, u32)> {
    let folder = TempDir::new().unwrap();
    let url = DatabaseUrl::from_path(folder.path().join("microblog.db"));
    let mut project = Project {
        owners: vec![Owner {
            name: "user-service".to_owned(),
            schema: String::new(),
            migrations: Vec::new(),
            recorded: Vec::new(),
            released: ReleaseRecord::default(),
        }],
        application: Application::MICROBLOG,
        database: url.clone(),
    };
    let mut counts = Vec::new();
    let mut before = (tokens(), prepared());
    let mut count = |tokens_of, prepared_by| {
        let difference = (tokens() - before.0, prepared() - before.1);
        before = (tokens(), prepared());
        for (name, count) in [(tokens_of, difference.0), (prepared_by, difference.1)] {
            counts.push((name, u32::try_from(count.max(1)).unwrap()));
        }
    };
    for version in [0, 1] {
        project.owners[0].schema = generated::schema(scale, version);
        let missing = project.missing_migrations("change", false, |_| None);
        for new in &missing.await.unwrap().migrations {
            project = project.with(new);
        }
        count("the tokens of migrate", "the statements of migrate");
        let migrations = project.migrations().unwrap();
        let migrator = Migrator::with_migrations(&url, Duration::from_secs(30), migrations);
        let report = migrator.check(&project, Duration::MAX).await.unwrap();
        assert_eq!(report.exit_code(), Exit::Done, "{report}");
        count("the tokens of check", "the statements of check");
        migrator.run(Run::upgrade()).await.unwrap();
        count("the tokens of upgrade", "the statements of upgrade");
    }
    counts
}
