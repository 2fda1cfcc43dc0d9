//! Measures `migrate`, `check` and `upgrade` on a generated schema, and on one of twice the size.
//! Prints one table.
//!
//! ```console
//! $ cargo bench -p migrator --bench schemas
//! $ ROUNDS=9 cargo bench -p migrator --bench schemas
//! ```
//!
//! Each figure is the median of the rounds. The ratio shows the growth: 2 is linear.

#![expect(clippy::unwrap_used, reason = "a failed measurement must stop the run")]

mod generated;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use database::settings::DatabaseUrl;
use migrator::{Generate, Migrator, NewMigrations, Project, Run};
use tempfile::TempDir;

/// The measured operations, in order.
const OPERATIONS: [&str; 6] = [
    "`migrate`, all objects",
    "`check` without a database",
    "`upgrade`, all objects",
    "`migrate`, a tenth of the tables is rebuilt",
    "`check` with a database",
    "`upgrade`, a tenth of the tables is rebuilt",
];

#[tokio::main]
async fn main() {
    let rounds = std::env::var("ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let mut times = [vec![], vec![]];
    for _ in 0..rounds {
        for scale in [1, 2] {
            times[scale - 1].push(round(scale).await);
        }
    }
    println!("| operation | ms | twice the size, ms | ratio |\n|---|---|---|---|");
    for (at, operation) in OPERATIONS.iter().enumerate() {
        let [small, large] = times.each_ref().map(|rounds| {
            let mut rounds: Vec<_> = rounds.iter().map(|round| round[at]).collect();
            rounds.sort_unstable();
            rounds[rounds.len() / 2].as_secs_f64() * 1e3
        });
        println!(
            "| {operation} | {small:.0} | {large:.0} | {:.1} |",
            large / small
        );
    }
}

/// Runs each operation once in an empty project, and returns the durations.
async fn round(scale: usize) -> Vec<Duration> {
    let folder = TempDir::new_in(std::env::var_os("FOLDER").unwrap_or_else(|| ".".into())).unwrap();
    let folder = folder.path();
    for service in ["user-service", "post-service"] {
        fs::create_dir_all(folder.join(service).join("migrations")).unwrap();
        fs::create_dir_all(folder.join(service).join(".sqlx")).unwrap();
        fs::write(folder.join(service).join("schema.sql"), "").unwrap();
        let released = r#"{"version": 0, "statements": []}"#;
        fs::write(folder.join(service).join("released.json"), released).unwrap();
    }
    let url = DatabaseUrl::from_path(folder.join("microblog.db"));
    let mut times = Vec::new();
    for version in [0, 1] {
        let schema = generated::schema(scale, version);
        fs::write(folder.join("user-service/schema.sql"), schema).unwrap();
        times.push(measure(generate(folder, version)).await);
        let project = Project::read(folder).unwrap();
        let migrations = project.migrations().unwrap();
        let migrator = Migrator::with_migrations(&url, Duration::from_mins(1), migrations);
        times.push(measure(check(&migrator, &project)).await);
        times.push(measure(async { migrator.run(Run::upgrade()).await.unwrap() }).await);
    }
    times
}

async fn generate(folder: &Path, version: usize) {
    let options = Generate {
        name: ["first", "second"][version],
        empty: false,
        owner: None,
        check: false,
        allow_data_loss: false,
    };
    let new = NewMigrations::generate(folder, options, |_| None);
    assert_eq!(new.await.unwrap().migrations.len(), 1);
}

async fn check(migrator: &Migrator, project: &Project) {
    let report = migrator
        .check(project, Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(report.exit_code(), migrator::Exit::Done, "{report}");
}

async fn measure<T>(work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}
