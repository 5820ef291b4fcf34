//! `irisflow migrate`: brings the schema of PostgreSQL up to date, before a new version of the service starts.

use std::process::ExitCode;

use clap::Args;

use crate::compose;
use crate::config_file::ConfigArgs;
use crate::database_args::DatabaseArgs;
use crate::in_runtime;
use crate::running::print;

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    _config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) fn run(arguments: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let steps = in_runtime(compose::migrate(&arguments.database.choice()))?;
    if steps.is_empty() {
        print("the schema is up to date\n");
    }
    for step in steps {
        print(&format!("applied {step}\n"));
    }
    Ok(ExitCode::SUCCESS)
}
