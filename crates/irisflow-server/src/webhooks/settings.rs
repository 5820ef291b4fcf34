//! Limits of webhooks.

use std::time::Duration;

use irisflow_jobs::WebhookPolicy;

#[derive(Debug, Clone, Copy)]
pub struct WebhookSettings {
    /// Whether webhooks may use private, loopback and other internal addresses, and plain HTTP.
    pub allow_private: bool,
    /// Webhooks of one account.
    pub per_user: u32,
    pub policy: WebhookPolicy,
    /// How long one attempt may take, with its connection and the response.
    pub timeout: Duration,
    /// Attempts at once in this process.
    pub concurrency: u32,
    /// Attempts at once to one webhook.
    pub per_webhook: u32,
    /// Interval at which due deliveries are looked for when nothing announces them, as retries.
    pub poll_interval: Duration,
    /// How long delivered and dead deliveries stay in the log.
    pub keep_deliveries: Duration,
    /// How long the previous secret stays valid after a rotation, unless the request says otherwise.
    pub secret_overlap: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            per_user: 10,
            policy: WebhookPolicy::default(),
            timeout: Duration::from_secs(15),
            concurrency: 64,
            per_webhook: 4,
            poll_interval: Duration::from_secs(1),
            keep_deliveries: Duration::from_secs(7 * 24 * 60 * 60),
            secret_overlap: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl WebhookSettings {
    /// How long a claim lasts: longer than the attempt and the record of it.
    pub(crate) fn lease(&self) -> Duration {
        self.timeout + Duration::from_secs(15)
    }
}
