//! Backups now and then, for as long as the process runs.

use std::{process::ExitCode, time::Duration};

use migrator::{Error, Exit, Migrator, PlanError};

use super::output::Output;

/// Makes a backup now and whenever a pause of `every` is over. Says what became of each,
/// and ends only with the process.
pub async fn back_up(migrator: &Migrator, every: Duration, output: Output) -> ExitCode {
    loop {
        let made = async {
            there(migrator).await?;
            migrator.back_up(None).await
        };
        match made.await {
            Ok(backup) => output.say(&backup, Exit::Done),
            Err(error) => output.fail(&error),
        };
        tokio::time::sleep(every).await;
    }
}

/// Waits for the database, however long it takes.
async fn there(migrator: &Migrator) -> Result<(), Error> {
    let look = |timeout| migrator.wait(Some(0), timeout);
    match look(Duration::ZERO).await {
        Err(Error::Plan(PlanError::Behind { database, .. })) => {
            tracing::info!(%database, "waiting for the database");
            look(Duration::MAX).await.map(drop)
        }
        looked => looked.map(drop),
    }
}
