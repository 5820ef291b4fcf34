//! Settings of the bus between processes.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::compose::{BusChoice, NatsSettings, NatsTls};
use crate::secret_arg::SecretArg;

/// NATS, by which processes that share a database notify each other.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub(crate) struct BusArgs {
    /// NATS servers of one cluster, as in `nats://host:4222` or `tls://user:password@host:4222`, separated by
    /// commas: processes that share a database notify each other there.
    #[arg(
        long,
        env = "IRISFLOW_BUS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    bus_url: Option<SecretArg>,
    /// What all subjects begin with.
    #[arg(
        long,
        env = "IRISFLOW_BUS_PREFIX",
        value_name = "NAME",
        default_value = "irisflow",
        value_parser = subject_prefix
    )]
    bus_prefix: String,
    /// Certificates, as PEM, that are trusted in place of those of the system.
    #[arg(long, env = "IRISFLOW_BUS_CA", value_name = "FILE")]
    bus_ca: Option<PathBuf>,
    /// Certificate of this client, as PEM.
    #[arg(
        long,
        env = "IRISFLOW_BUS_CERT",
        value_name = "FILE",
        requires = "bus_key"
    )]
    bus_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(
        long,
        env = "IRISFLOW_BUS_KEY",
        value_name = "FILE",
        requires = "bus_cert"
    )]
    bus_key: Option<PathBuf>,
}

impl BusArgs {
    pub(crate) fn choice(&self) -> anyhow::Result<BusChoice> {
        let Some(url) = SecretArg::text(self.bus_url.as_ref()) else {
            return Ok(BusChoice::Local);
        };
        let mut settings: NatsSettings = url.parse().context("reading --bus-url")?;
        settings.subject_prefix.clone_from(&self.bus_prefix);
        settings.tls = NatsTls {
            authorities: self.bus_ca.clone(),
            client: self.bus_cert.clone().zip(self.bus_key.clone()),
        };
        Ok(BusChoice::Nats(settings))
    }
}

fn subject_prefix(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match !text.is_empty() && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, hyphens and underscores".to_owned()),
    }
}
