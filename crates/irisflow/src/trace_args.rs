//! Settings of traces.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::otlp::OtlpSettings;
use crate::secret_arg::SecretArg;

/// Traces of jobs, which are sent to an OpenTelemetry collector.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces")]
pub(crate) struct TraceArgs {
    /// OpenTelemetry collector that traces of jobs are sent to, as in `http://collector:4318` (OTLP by HTTP). Without it,
    /// there are none.
    #[arg(long, env = "IRISFLOW_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Headers for its credentials, as in `authorization=Bearer TOKEN`, separated by commas.
    #[arg(
        long,
        env = "IRISFLOW_OTLP_HEADERS",
        hide_env_values = true,
        value_name = "NAME=VALUE"
    )]
    otlp_headers: Option<SecretArg>,
    /// The share of jobs that are traced, from 0 to 1. Processes with the same share trace the same jobs.
    #[arg(
        long,
        env = "IRISFLOW_TRACE_SHARE",
        default_value = "1",
        value_parser = share
    )]
    trace_share: f64,
}

impl TraceArgs {
    /// `None` without a collector.
    pub(crate) fn choice(&self, service: &'static str) -> anyhow::Result<Option<OtlpSettings>> {
        let endpoint = self.otlp_endpoint.as_deref().map_or("", str::trim);
        if endpoint.is_empty() {
            return Ok(None);
        }
        Ok(Some(OtlpSettings {
            endpoint: traces_url(endpoint).context("reading --otlp-endpoint")?,
            headers: headers(SecretArg::text(self.otlp_headers.as_ref()).unwrap_or_default())
                .context("reading --otlp-headers")?,
            share: self.trace_share,
            service,
        }))
    }
}

fn traces_url(endpoint: &str) -> anyhow::Result<String> {
    const PATH: &str = "/v1/traces";
    let authority = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| endpoint.strip_prefix(scheme));
    match authority {
        None | Some("") => bail!("a URL that begins with http:// or https:// is expected"),
        Some(authority) if authority.contains('@') => {
            bail!("credentials belong into --otlp-headers")
        }
        Some(_) => {}
    }
    let endpoint = endpoint.trim_end_matches('/');
    Ok(match endpoint.ends_with(PATH) {
        true => endpoint.to_owned(),
        false => format!("{endpoint}{PATH}"),
    })
}

/// The text is not quoted: it holds credentials.
fn headers(text: &str) -> anyhow::Result<HashMap<String, String>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').context("NAME=VALUE is expected")?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}
