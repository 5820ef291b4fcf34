//! Sets up logging: filter, text or JSON format, stderr. Log statements themselves must never contain
//! tokens, presigned URLs or pixels.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// What to log, as in info or irisflow_worker=debug.
    #[arg(
        long,
        env = "IRISFLOW_LOG",
        default_value = "info,memory_serve=warn,sqlx_core::pool::connection=error"
    )]
    log: String,
    #[arg(long, env = "IRISFLOW_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

impl LogArgs {
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        start(&self.log, self.log_format)
    }
}

/// Installs the global subscriber, which logs to stderr.
fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("{filter:?} is not a log filter; try info or debug"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init(),
    }
    .map_err(|error| anyhow::anyhow!("starting the log: {error}"))?;
    // At level trace, the WebSocket library logs each message that it receives, with the tokens in it.
    log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
    Ok(())
}
