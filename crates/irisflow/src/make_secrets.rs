//! `irisflow make-secrets`: a file with new keys, for the nodes of one service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::data_folder::write_new_secrets;

#[derive(Debug, Args)]
pub(crate) struct MakeSecretsArgs {
    /// The file to make, readable by its owner only.
    file: PathBuf,
}

pub(crate) fn run(arguments: &MakeSecretsArgs) -> anyhow::Result<ExitCode> {
    write_new_secrets(&arguments.file)?;
    Ok(ExitCode::SUCCESS)
}
