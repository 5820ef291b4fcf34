//! The one program. Parses, runs, and decides the exit code; each command is a file of its own.

mod compose;
mod data_folder;
mod logging;
mod process;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Process photos here and now, without a server.
    Process(process::ProcessArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments
        .command
        .unwrap_or(Command::Serve(Box::new(arguments.serve)))
    {
        Command::Serve(arguments) => serve::run(*arguments).map(|()| ExitCode::SUCCESS),
        Command::Process(arguments) => process::run(arguments),
    };
    ended.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(EXIT_INTERNAL)
    })
}

/// 0 done, 1 some photos were rejected, 2 wrong usage (clap's own), 3 anything that is not the
/// photo's fault.
const EXIT_INTERNAL: u8 = 3;

#[expect(clippy::print_stderr, reason = "the last word of a program that fails")]
fn complain(error: &anyhow::Error) {
    eprintln!("irisflow: {error:#}");
}
