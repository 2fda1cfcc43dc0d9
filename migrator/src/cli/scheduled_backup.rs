//! `backup --every`: backups on a schedule.

use std::{process::ExitCode, time::Duration};

use migrator::{Error, Exit, Migrator, PlanError};

use super::output::Output;

/// Makes a backup now, and the next one `every` after the previous one ended. Prints the result
/// of each, and never returns.
pub async fn back_up(migrator: &Migrator, every: Duration, output: Output) -> ExitCode {
    loop {
        let made = async {
            wait_for_database(migrator).await?;
            migrator.back_up(None).await
        };
        match made.await {
            Ok(backup) => output.print(&backup, Exit::Done),
            Err(error) => output.print_error(&error),
        };
        tokio::time::sleep(every).await;
    }
}

/// Waits for the database without a timeout.
async fn wait_for_database(migrator: &Migrator) -> Result<(), Error> {
    let wait = |timeout| migrator.wait(Some(0), timeout);
    match wait(Duration::ZERO).await {
        Err(Error::Plan(PlanError::Behind { database, .. })) => {
            tracing::info!(%database, "waiting for the database");
            wait(Duration::MAX).await.map(drop)
        }
        result => result.map(drop),
    }
}
