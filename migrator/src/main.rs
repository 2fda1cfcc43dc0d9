//! The program `migrator`: parses the command line and calls the library.

mod cli;

use std::{num::NonZeroUsize, path::Path, process::ExitCode};

use migrator::{Error, Exit, Migrator, NewMigrations, Project, Run};
use process::{
    self, ExitError,
    settings::{LogFormat, LogSettings},
};

use self::cli::{
    Command, Settings, completions::CompletionScript, output::Output, progress, prompt,
    scheduled_backup,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The migrations run on one thread while the backup is verified on the other.
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

fn main() -> ExitCode {
    match process::parse::<Settings>() {
        Ok(settings) => process::start(&log_settings(&settings), THREADS, run(&settings)),
        Err(error) => cli::usage_error(&error),
    }
}

/// Returns the settings of the log. With `--json`, stdout holds exactly one JSON object, thus
/// the log is text on stderr.
fn log_settings(settings: &Settings) -> LogSettings {
    let mut logs = settings.logs.clone();
    if settings.json {
        logs.log_format = LogFormat::Text;
    }
    logs
}

async fn run(settings: &Settings) -> Result<ExitCode, ExitError> {
    let output = Output {
        command: settings.command.name(),
        json: settings.json,
    };
    let runs_until_signal = matches!(settings.command, Command::Backup { every: Some(_), .. });
    let done = process::until_signal(command(settings, output), runs_until_signal).await?;
    Ok(match done {
        Ok(result) => result.unwrap_or_else(|error| output.print_error(&error)),
        Err(interrupted) => interrupted,
    })
}

async fn command(settings: &Settings, output: Output) -> Result<ExitCode, Error> {
    let migrator = || migrator(settings, &project(settings)?);
    Ok(match &settings.command {
        Command::Create => output.print(&migrator()?.create().await?, Exit::Done),
        Command::Migrate(args) => {
            let folder = source_tree(settings);
            // A program that reads JSON cannot answer questions.
            let may_ask = prompt::can_ask() && !settings.json;
            let answer = |question: &_| may_ask.then(|| prompt::renamed(question));
            let mut made = NewMigrations::generate(folder, args.into(), answer).await?;
            if args.apply {
                let migrator = self::migrator(settings, &Project::read(folder)?)?;
                made.upgrade = Some(migrator.run(Run::upgrade()).await?);
            }
            output.print(&made, made.exit_code())
        }
        Command::Upgrade { to, run } => {
            let run = Run {
                to: *to,
                ..run.apply_to(Run::upgrade())
            };
            output.print(&migrator()?.run(run).await?, Exit::Done)
        }
        Command::Downgrade {
            to,
            allow_data_loss,
            run,
        } => {
            let run = Run {
                to: *to,
                allow_data_loss: *allow_data_loss,
                ..run.apply_to(Run::downgrade())
            };
            output.print(&migrator()?.run(run).await?, Exit::Done)
        }
        Command::Status { exit_code } => {
            let status = migrator()?.status().await?;
            let code = if *exit_code {
                status.exit_code()
            } else {
                Exit::Done
            };
            output.print(&status, code)
        }
        Command::Check { longest_wait } => {
            let project = project(settings)?;
            let migrator = self::migrator(settings, &project)?;
            let report = migrator.check(&project, *longest_wait).await?;
            output.print(&report, report.exit_code())
        }
        Command::Diff => {
            let difference = migrator()?.diff().await?;
            output.print(&difference, difference.exit_code())
        }
        Command::Backup {
            every: Some(every), ..
        } => scheduled_backup::back_up(&migrator()?, *every, output).await,
        Command::Backup { file, .. } => {
            output.print(&migrator()?.back_up(file.as_deref()).await?, Exit::Done)
        }
        Command::Backups => output.print(&migrator()?.backups()?, Exit::Done),
        Command::Restore { file } => output.print(&migrator()?.restore(file).await?, Exit::Done),
        Command::Baseline { version } => {
            output.print(&migrator()?.baseline(*version).await?, Exit::Done)
        }
        Command::Wait { version, timeout } => {
            output.print(&migrator()?.wait(*version, *timeout).await?, Exit::Done)
        }
        Command::Dump => output.print(&migrator()?.dump().await?, Exit::Done),
        Command::Release => output.print(&Project::release(source_tree(settings))?, Exit::Done),
        Command::Completions { shell } => output.print(&CompletionScript::new(*shell), Exit::Done),
    })
}

/// Returns the project of `--project`, or the compiled-in one.
fn project(settings: &Settings) -> Result<Project, Error> {
    Ok(match &settings.project {
        Some(folder) => Project::read(folder)?,
        None => Project::embedded()?,
    })
}

/// Returns the directory that `migrate` and `release` write to.
fn source_tree(settings: &Settings) -> &Path {
    settings.project.as_deref().unwrap_or(Path::new("."))
}

fn migrator(settings: &Settings, project: &Project) -> Result<Migrator, Error> {
    let database = settings.database_url.as_ref();
    let database = database.unwrap_or_else(|| project.database());
    let backups = &settings.backups;
    let migrator = Migrator::for_project(database, settings.lock_timeout, project)?;
    Ok(migrator
        .with_backups(&backups.backup_folder, backups.keep)
        .with_progress(progress::progress()))
}
