//! Settings from a file: lines `NAME=value` with the names of the environment variables, as a systemd `EnvironmentFile` or
//! a compose `env_file` has them. A flag or a variable of the environment overrides the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::running::print;

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// File of settings: lines NAME=value with the names of the environment variables. Flags and the environment override
    /// it.
    #[arg(
        id = "config",
        long = "config",
        env = "IRISFLOW_CONFIG",
        value_name = "FILE"
    )]
    _config: Option<PathBuf>,
}

/// The arguments with those that the configuration file adds, as flags after the name of the command.
pub(crate) fn with_file(
    command: &Command,
    arguments: Vec<OsString>,
) -> anyhow::Result<Vec<OsString>> {
    let matches = command.clone().get_matches_from(&arguments);
    let (concerned, matches, position) = match matches.subcommand() {
        Some((name, matches)) => (command.find_subcommand(name), matches, 2),
        None => (Some(command), &matches, 1),
    };
    let (Some(concerned), Ok(Some(path))) = (concerned, matches.try_get_one::<PathBuf>("config"))
    else {
        return Ok(arguments);
    };
    let settings = read(path)?;
    check_names(command, &settings, path)?;
    let added = concerned
        .get_arguments()
        .filter(|argument| !is_given(matches, argument))
        .filter_map(|argument| flag(argument, settings.get(&variable_of(argument)?)?));
    let added: Vec<OsString> = added.map(OsString::from).collect();
    let mut arguments = arguments;
    let position = position.min(arguments.len());
    arguments.splice(position..position, added);
    Ok(arguments)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("reading --config {}", path.display()))?;
    let mut settings = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line is not quoted: it may hold a secret.
        let Some((name, value)) = line.split_once('=') else {
            bail!("{}, line {number}: NAME=value is expected", path.display());
        };
        let name = name.trim_start_matches("export ").trim();
        settings.insert(name.to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(settings)
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// One file may serve several commands: a name must be a setting of one of them.
fn check_names(
    command: &Command,
    settings: &BTreeMap<String, String>,
    path: &Path,
) -> anyhow::Result<()> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let known: Vec<String> = commands
        .flat_map(Command::get_arguments)
        .filter_map(variable_of)
        .collect();
    match settings.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => bail!("{}: {name} is no setting", path.display()),
    }
}

fn variable_of(argument: &Arg) -> Option<String> {
    Some(argument.get_env()?.to_str()?.to_owned())
}

/// By a flag or a variable.
fn is_given(matches: &ArgMatches, argument: &Arg) -> bool {
    matches!(
        matches.value_source(argument.get_id().as_str()),
        Some(ValueSource::CommandLine | ValueSource::EnvVariable)
    )
}

/// `None` for a switch that is off.
fn flag(argument: &Arg, value: &str) -> Option<String> {
    let long = argument.get_long()?;
    match argument.get_action() {
        ArgAction::SetTrue => {
            let is_on = !["", "0", "false", "off", "no"].contains(&value);
            is_on.then(|| format!("--{long}"))
        }
        _ => Some(format!("--{long}={value}")),
    }
}

/// `irisflow config`: prints the settings of `irisflow serve` as such a file; defaults are commented out, secrets hidden.
pub(crate) fn print_settings(command: &Command, matches: &ArgMatches) -> ExitCode {
    for argument in command.get_arguments() {
        let Some(name) = variable_of(argument) else {
            continue;
        };
        if argument.is_hide_set() || argument.get_id().as_str() == "config" {
            continue;
        }
        let comment = if is_given(matches, argument) {
            ""
        } else {
            "# "
        };
        print(&format!("{comment}{name}={}\n", shown(argument, matches)));
    }
    ExitCode::SUCCESS
}

fn shown(argument: &Arg, matches: &ArgMatches) -> String {
    let Ok(Some(values)) = matches.try_get_raw(argument.get_id().as_str()) else {
        return String::new();
    };
    if argument.is_hide_env_values_set() {
        return "(hidden)".to_owned();
    }
    let values = values.map(|value| value.to_string_lossy().into_owned());
    values.collect::<Vec<String>>().join(",")
}
