//! What an operator may set for the API. Read once, in the binary.

use std::net::SocketAddr;
use std::time::Duration;

use irisflow_image::load::Limits;

pub use crate::auth::SignInLimits;
pub use crate::connections::ConnectionLimits;
use crate::cors::Origin;
pub use crate::photos::DecodeLimits;
pub use crate::privacy::{ConsentText, ConsentTextError};
pub use crate::timeouts::Timeouts;
pub use crate::tls::TlsFiles;
pub use crate::usage_limits::UsageLimits;

/// Room for some hundred jobs while the balancer sends people elsewhere.
pub const DEFAULT_MIN_FREE_BYTES: u64 = 256 << 20;

#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where the server listens; URLs are made from it when `public_url` is not set.
    pub listen: SocketAddr,
    /// How clients reach the server, without a slash at the end, as in `https://iris.example.com`.
    pub public_url: Option<String>,
    /// Names and addresses by which clients in the same network may know this machine; links are made
    /// from the one that a client has used. Only without `public_url`.
    pub own_hosts: Vec<String>,
    /// Whether new accounts may be made.
    pub registration: Registration,
    /// Whether uploads and jobs need the consent `biometric_capture`.
    pub consent_required: bool,
    /// What people are asked to agree to.
    pub consent_text: ConsentText,
    /// Web origins other than our own that browsers may call from.
    pub allowed_origins: Vec<Origin>,
    pub access_token_life: Duration,
    pub refresh_token_life: Duration,
    /// A spent refresh token still gives its successor for this long: a lost answer logs nobody out.
    pub refresh_grace: Duration,
    /// How long links to results and originals work.
    pub download_url_life: Duration,
    pub upload_url_life: Duration,
    /// A job's socket is closed after this long; the job goes on.
    pub socket_limit: Duration,
    /// How often the peer of a socket is asked whether it is there; it must have answered by the next time.
    pub socket_ping: Duration,
    /// How often an open socket looks up its session, should the notification of its end be lost.
    pub session_check: Duration,
    /// How much of a running job's recent past a new watcher is told.
    pub replay: Duration,
    /// How often the database is asked whether watchers missed anything.
    pub resync_interval: Duration,
    /// How often a watcher of a waiting job is told that its place has changed.
    pub outlook_interval: Duration,
    pub batch_limit: usize,
    pub photo_limits: Limits,
    pub read_limits: DecodeLimits,
    pub time_limits: Timeouts,
    pub use_limits: UsageLimits,
    pub connection_limits: ConnectionLimits,
    /// With less room than this on a disk the server is not ready.
    pub min_free_bytes: u64,
    /// HTTPS with these files; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Whoever sends it as bearer may read `/metrics`; without one, the route is off.
    pub metrics_token: Option<String>,
    /// How many proxies before us append to `X-Forwarded-For`; with 0 that header says nothing.
    pub trusted_proxies: usize,
    pub sign_in_limits: SignInLimits,
}

impl ServerSettings {
    /// Whether clients reach us by HTTPS, be it ours or that of a proxy.
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
    /// Whether clients come by TLS, to us or to a proxy before us.
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
            upload_url_life: Duration::from_secs(15 * 60),
            socket_limit: Duration::from_secs(600),
            socket_ping: Duration::from_secs(25),
            session_check: Duration::from_secs(30),
            replay: Duration::from_secs(2),
            resync_interval: Duration::from_secs(3),
            outlook_interval: Duration::from_secs(2),
            batch_limit: 10,
            photo_limits: Limits::default(),
            read_limits: DecodeLimits::default(),
            time_limits: Timeouts::default(),
            use_limits: UsageLimits::default(),
            connection_limits: ConnectionLimits::default(),
            min_free_bytes: DEFAULT_MIN_FREE_BYTES,
            tls: None,
            metrics_token: None,
            trusted_proxies: 0,
            sign_in_limits: SignInLimits::default(),
        }
    }
}
