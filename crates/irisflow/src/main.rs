//! Entry point: parses the arguments, runs the command (each in its own file), sets the exit code.

mod account;
mod atomic_file;
mod backup;
mod bus_args;
mod check;
mod checksum;
mod compose;
mod config_file;
mod consent_args;
mod data_folder;
mod database_args;
mod doctor;
mod exit_code;
mod file_descriptors;
mod follow_job;
mod follow_timeline;
mod iris_report;
mod job_args;
mod listening;
mod logging;
mod make_secrets;
mod metrics;
mod migrate;
mod move_data;
mod otlp;
mod output_names;
mod own_addresses;
mod photo_file;
mod picture_args;
mod process;
mod progress_bars;
mod recorded_objects;
mod running;
mod s3_args;
mod secret_arg;
mod serve;
mod session_file;
mod sign_in_args;
mod stop_signals;
mod submit;
mod trace_args;
mod user;
mod watch;
mod webhook_args;
mod work;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use exit_code::Outcome;

/// Turns photos of eyes into pictures of their irises.
///
/// Without a command it serves, with everything it needs inside.
#[derive(Debug, Parser)]
#[command(name = "irisflow", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the web app and the API, and work on jobs.
    Serve(Box<serve::ServeArgs>),
    /// Work on jobs beside other processes, without serving.
    Work(Box<work::WorkArgs>),
    /// Print the settings with which `serve` would start, in the format of a file for --config. Secrets are hidden.
    Config(Box<serve::ServeArgs>),
    /// Bring the schema of a PostgreSQL database up to date.
    Migrate(migrate::MigrateArgs),
    /// Check everything that the service depends on, and say what to do.
    Doctor(Box<doctor::DoctorArgs>),
    /// Make the file of keys that all nodes of a service share.
    MakeSecrets(make_secrets::MakeSecretsArgs),
    /// Manage accounts, on the server's machine.
    User(user::UserArgs),
    /// Copy everything of a server into a folder, also while it serves.
    Backup(backup::BackupArgs),
    /// Make a data folder from a backup.
    Restore(backup::restore::RestoreArgs),
    /// Copy a data folder into PostgreSQL, a bucket of S3, or both. The server is stopped meanwhile.
    Move(Box<move_data::MoveArgs>),
    /// Process photos here and now, without a server.
    Process(process::ProcessArgs),
    /// Say whether photos can be used, without processing them.
    Check(check::CheckArgs),
    /// Process photos on a server, and watch it work.
    Submit(Box<submit::SubmitArgs>),
    /// Come back to jobs on a server.
    Watch(Box<watch::WatchArgs>),
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        print_error(&error);
        Outcome::Failed.into()
    })
}

fn run() -> anyhow::Result<ExitCode> {
    let command = Arguments::command();
    let given = config_file::with_file(&command, std::env::args_os().collect())?;
    let matches = command.clone().get_matches_from(given);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match arguments
        .command
        .unwrap_or(Command::Serve(Box::new(arguments.serve)))
    {
        Command::Config(_) => Ok(
            match (command.find_subcommand("config"), matches.subcommand()) {
                (Some(command), Some((_, matches))) => {
                    config_file::print_settings(command, matches)
                }
                _ => ExitCode::SUCCESS,
            },
        ),
        Command::Serve(arguments) => serve::run(*arguments).map(|()| ExitCode::SUCCESS),
        Command::Work(arguments) => work::run(*arguments).map(|()| ExitCode::SUCCESS),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Doctor(arguments) => doctor::run(*arguments),
        Command::MakeSecrets(arguments) => make_secrets::run(&arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Backup(arguments) => backup::run(arguments),
        Command::Restore(arguments) => backup::restore::run(arguments),
        Command::Move(arguments) => move_data::run(&arguments),
        Command::Process(arguments) => process::run(arguments),
        Command::Check(arguments) => Ok(check::run(arguments)),
        Command::Submit(arguments) => submit::run(*arguments),
        Command::Watch(arguments) => watch::run(*arguments),
    }
}

/// Runs an async command on a multi-threaded runtime.
fn in_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(work)
}

#[expect(clippy::print_stderr, reason = "the error message of a failed command")]
fn print_error(error: &anyhow::Error) {
    eprintln!("irisflow: {error:#}");
}
