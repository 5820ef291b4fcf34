//! Arguments of `serve` for webhooks, which are implemented in `irisflow-server/src/webhooks`.

use std::time::Duration;

use clap::Args;
use irisflow_server::WebhookSettings;

use crate::sign_in_args::in_ms;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Webhooks")]
pub(crate) struct WebhookArgs {
    /// Let webhooks use private, loopback and other internal addresses, and plain HTTP. Anyone with an account can
    /// then make this server send requests into its own network.
    #[arg(long, env = "IRISFLOW_WEBHOOK_ALLOW_PRIVATE")]
    webhook_allow_private: bool,
    /// Webhooks of one account.
    #[arg(long, env = "IRISFLOW_WEBHOOKS_PER_USER", default_value_t = WebhookSettings::default().per_user)]
    webhooks_per_user: u32,
    /// How long one attempt to deliver may take.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_TIMEOUT_MS",
        default_value_t = in_ms(WebhookSettings::default().timeout)
    )]
    webhook_timeout_ms: u64,
    /// The first retry waits up to this long, each further one up to twice as long, up to an hour.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_BACKOFF_MS",
        default_value_t = in_ms(WebhookSettings::default().policy.backoff_base)
    )]
    webhook_backoff_ms: u64,
    /// How long a delivery is retried.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_RETRY_MS",
        default_value_t = in_ms(WebhookSettings::default().policy.retry_for)
    )]
    webhook_retry_ms: u64,
    /// Disable a webhook of which every attempt has failed for this long.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_DISABLE_AFTER_MS",
        default_value_t = in_ms(WebhookSettings::default().policy.disable_after)
    )]
    webhook_disable_after_ms: u64,
    /// Attempts at once.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_CONCURRENCY",
        default_value_t = WebhookSettings::default().concurrency
    )]
    webhook_concurrency: u32,
    /// Attempts at once to one webhook.
    #[arg(
        long,
        env = "IRISFLOW_WEBHOOK_CONCURRENCY_PER_WEBHOOK",
        default_value_t = WebhookSettings::default().per_webhook
    )]
    webhook_concurrency_per_webhook: u32,
    /// How long delivered and dead deliveries are kept.
    #[arg(
        long,
        env = "IRISFLOW_KEEP_WEBHOOK_DELIVERIES_MS",
        default_value_t = in_ms(WebhookSettings::default().keep_deliveries)
    )]
    keep_webhook_deliveries_ms: u64,
}

impl WebhookArgs {
    pub(crate) fn settings(&self) -> WebhookSettings {
        let mut settings = WebhookSettings {
            allow_private: self.webhook_allow_private,
            per_user: self.webhooks_per_user,
            timeout: Duration::from_millis(self.webhook_timeout_ms.max(1)),
            concurrency: self.webhook_concurrency.max(1),
            per_webhook: self.webhook_concurrency_per_webhook.max(1),
            keep_deliveries: Duration::from_millis(self.keep_webhook_deliveries_ms),
            ..WebhookSettings::default()
        };
        settings.policy.backoff_base = Duration::from_millis(self.webhook_backoff_ms);
        settings.policy.retry_for = Duration::from_millis(self.webhook_retry_ms);
        settings.policy.disable_after = Duration::from_millis(self.webhook_disable_after_ms);
        settings
    }
}
