//! Settings of the server. The binary reads them once, at start-up.

use std::net::SocketAddr;
use std::time::Duration;

use irisflow_image::load::Limits;
use irisflow_jobs::JobPolicy;

pub use crate::auth::SignInLimits;
pub use crate::connections::ConnectionLimits;
use crate::cors::Origin;
pub use crate::photos::DecodeLimits;
pub use crate::privacy::{ConsentText, ConsentTextError};
pub use crate::timeouts::Timeouts;
pub use crate::tls::TlsFiles;
pub use crate::usage_limits::UsageLimits;
pub use crate::webhooks::WebhookSettings;

#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Address of the listener; also the base of URLs when `public_url` is not set.
    pub listen: SocketAddr,
    /// Base URL under which clients reach the server, without a slash at the end, as in `https://iris.example.com`.
    pub public_url: Option<String>,
    /// Names and addresses of this machine in its network. Without `public_url`, URLs use the one that the client
    /// has sent as `Host`.
    pub own_hosts: Vec<String>,
    /// Whether new accounts may be created.
    pub registration: Registration,
    /// Whether uploads and jobs need the consent `biometric_capture`.
    pub consent_required: bool,
    /// The text that users are asked to consent to.
    pub consent_text: ConsentText,
    /// Other web origins that are allowed by CORS.
    pub allowed_origins: Vec<Origin>,
    pub access_token_life: Duration,
    pub refresh_token_life: Duration,
    /// How long a used refresh token still returns its successor, so that a lost response does not end the session.
    pub refresh_grace: Duration,
    /// Lifetime of presigned URLs of results and originals.
    pub download_url_life: Duration,
    pub upload_url_life: Duration,
    /// Whether sockets and event streams accept access tokens in their URL, where proxies may log them.
    pub tokens_in_urls: bool,
    /// Maximum duration of a job's socket. The job goes on after it.
    pub socket_limit: Duration,
    /// Interval of pings on a socket. A client that has not answered by the next ping is disconnected.
    pub socket_ping: Duration,
    /// How often an open socket checks its session in the store, in case the notification of its end was lost.
    pub session_check: Duration,
    /// Age up to which past events of a running job are sent to a new watcher.
    pub replay: Duration,
    /// How often the database is queried for events that watchers missed.
    pub resync_interval: Duration,
    /// How often the watcher of a job is sent a changed estimate.
    pub estimate_interval: Duration,
    pub batch_limit: usize,
    pub photo_limits: Limits,
    pub decode_limits: DecodeLimits,
    pub timeouts: Timeouts,
    pub usage_limits: UsageLimits,
    pub connection_limits: ConnectionLimits,
    /// Free disk space in bytes below which the server is not ready.
    pub min_free_bytes: u64,
    /// Certificate files for HTTPS; without them the server uses plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Bearer token for `/metrics`; without it the route is disabled.
    pub metrics_token: Option<String>,
    /// Number of trusted reverse proxies that append to `X-Forwarded-For`; with 0 the header is ignored.
    pub trusted_proxies: usize,
    pub sign_in_limits: SignInLimits,
    pub webhooks: WebhookSettings,
}

impl ServerSettings {
    /// Whether clients use HTTPS, to the server itself or to a proxy in front of it.
    pub(crate) fn is_https(&self) -> bool {
        let public_url = self.public_url.as_deref();
        self.tls.is_some() || public_url.is_some_and(|url| url.starts_with("https:"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

impl ServerSettings {
    /// Whether clients use HTTPS, to the server itself or to a proxy in front of it.
    pub(crate) fn is_secure(&self) -> bool {
        let url = self.public_url.as_deref();
        self.tls.is_some() || url.is_some_and(|url| url.starts_with("https://"))
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            own_hosts: Vec::new(),
            registration: Registration::Open,
            consent_required: false,
            consent_text: ConsentText::default(),
            allowed_origins: Vec::new(),
            access_token_life: Duration::from_secs(30 * 60),
            refresh_token_life: Duration::from_secs(30 * 24 * 3600),
            refresh_grace: Duration::from_secs(30),
            download_url_life: Duration::from_secs(3600),
            upload_url_life: JobPolicy::default().upload_url_life,
            tokens_in_urls: true,
            socket_limit: Duration::from_secs(600),
            socket_ping: Duration::from_secs(25),
            session_check: Duration::from_secs(30),
            replay: Duration::from_secs(2),
            resync_interval: Duration::from_secs(3),
            estimate_interval: Duration::from_secs(2),
            batch_limit: 10,
            photo_limits: Limits::default(),
            decode_limits: DecodeLimits::default(),
            timeouts: Timeouts::default(),
            usage_limits: UsageLimits::default(),
            connection_limits: ConnectionLimits::default(),
            // Enough for some hundred jobs until a load balancer has noticed that the server is not ready.
            min_free_bytes: 256 << 20,
            tls: None,
            metrics_token: None,
            trusted_proxies: 0,
            sign_in_limits: SignInLimits::default(),
            webhooks: WebhookSettings::default(),
        }
    }
}
