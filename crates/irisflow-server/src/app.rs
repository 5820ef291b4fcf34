//! Shared state of all handlers: the parts that the server is built from, its settings, limits and caches.

use std::sync::Arc;

use irisflow_jobs::{
    AccountStore, Bus, Clock, JobCommands, JobReader, JobTracer, PhotoStore, Privacy, QueueReader,
    Statistics, StoreHealth, Timeline, TokenBuckets, WebhookStore,
};
use irisflow_photos::{LinkSigner, MemoryBudget, ObjectStore, UrlSigner};
use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::auth::{Devices, Passwords, Throttle, Tokens};
use crate::body_memory::BodyMemory;
use crate::estimates::EstimatorCache;
use crate::health::Readiness;
use crate::live::{Hubs, PingSchedule, Resumptions, SessionEnds};
use crate::photos::{PhotoDecoding, PhotoLocks, StrippingPermits, UploadsInProgress};
use crate::processing::MissingResults;
use crate::public_url::PublicUrl;
use crate::queue_cache::QueueCache;
use crate::request_rates::Rates;
use crate::settings::ServerSettings;
use crate::shared_rate_limiter::SharedBuckets;
use crate::transfer_limits::Transfers;
use crate::usage_limits::Sockets;
use crate::webhooks::{SecretCipher, WebhookClient};

/// Stores, files, bus and secrets that the server is built from.
#[derive(Debug, Clone)]
pub struct ServerParts {
    pub accounts: Arc<dyn AccountStore>,
    pub photos: Arc<dyn PhotoStore>,
    pub job_commands: Arc<dyn JobCommands>,
    pub job_reader: Arc<dyn JobReader>,
    pub queue_reader: Arc<dyn QueueReader>,
    pub timeline: Arc<dyn Timeline>,
    pub webhooks: Arc<dyn WebhookStore>,
    pub statistics: Arc<dyn Statistics>,
    pub privacy: Arc<dyn Privacy>,
    pub health: Arc<dyn StoreHealth>,
    /// Of rate limits that hold over all nodes; `None` in a service of one process.
    pub token_buckets: Option<Arc<dyn TokenBuckets>>,
    pub files: Arc<dyn ObjectStore>,
    pub links: Arc<dyn LinkSigner>,
    /// Checks links to `/files`; `None` with a storage that serves its objects itself.
    pub file_links: Option<UrlSigner>,
    /// Memory budget for decoding and decoding photos, shared by the whole process.
    pub memory: MemoryBudget,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub secrets: Secrets,
    pub metrics: PrometheusHandle,
    pub tracer: Arc<dyn JobTracer>,
}

/// What the state of a process is read from.
#[derive(Debug, Clone)]
pub struct MonitoredParts {
    pub health: Arc<dyn StoreHealth>,
    pub statistics: Arc<dyn Statistics>,
    pub files: Arc<dyn ObjectStore>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub metrics: PrometheusHandle,
}

impl ServerParts {
    pub(crate) fn monitored(&self) -> MonitoredParts {
        MonitoredParts {
            health: Arc::clone(&self.health),
            statistics: Arc::clone(&self.statistics),
            files: Arc::clone(&self.files),
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        }
    }
}

/// Keys that sign tokens and encrypt the secrets of webhooks. `Debug` does not print them.
#[derive(Clone)]
pub struct Secrets {
    pub access_tokens: [u8; 32],
    pub refresh_tokens: [u8; 32],
    pub webhooks: [u8; 32],
}

impl Secrets {
    /// The salt of the keys of rate limits: the same on all nodes.
    fn salt_of_limits(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"rate limits");
        hash.update(self.refresh_tokens);
        hash.finalize().into()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// The state of the router. Clones share it.
pub(crate) type App = Arc<AppState>;

#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) parts: ServerParts,
    pub(crate) settings: ServerSettings,
    pub(crate) tokens: Tokens,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) devices: Devices,
    pub(crate) rates: Rates,
    pub(crate) sockets: Sockets,
    pub(crate) body_memory: BodyMemory,
    pub(crate) transfers: Transfers,
    pub(crate) decoding: PhotoDecoding,
    pub(crate) photo_locks: PhotoLocks,
    pub(crate) uploads: UploadsInProgress,
    pub(crate) stripping: StrippingPermits,
    pub(crate) public_url: PublicUrl,
    pub(crate) resumptions: Resumptions,
    pub(crate) hubs: Hubs,
    pub(crate) session_ends: SessionEnds,
    pub(crate) pings: PingSchedule,
    pub(crate) estimator_cache: EstimatorCache,
    pub(crate) queue_cache: QueueCache,
    pub(crate) readiness: Readiness,
    pub(crate) missing_results: MissingResults,
    pub(crate) webhook_client: WebhookClient,
    pub(crate) secret_cipher: SecretCipher,
    /// Cancelled at shutdown; sockets and background tasks then end.
    pub(crate) draining: CancellationToken,
}

impl AppState {
    pub(crate) fn new(
        parts: ServerParts,
        settings: ServerSettings,
        draining: CancellationToken,
    ) -> Self {
        let salt = parts.secrets.salt_of_limits();
        let shared_buckets = SharedBuckets::new(parts.token_buckets.clone(), salt);
        Self {
            tokens: Tokens::new(&parts.secrets, &settings, Arc::clone(&parts.clock)),
            passwords: Passwords::new(),
            throttle: Throttle::new(
                settings.sign_in_limits,
                Arc::clone(&parts.clock),
                shared_buckets.clone(),
            ),
            devices: Devices::new(&parts.secrets),
            decoding: PhotoDecoding::new(parts.memory.clone(), settings.decode_limits),
            photo_locks: PhotoLocks::default(),
            uploads: UploadsInProgress::default(),
            stripping: StrippingPermits::default(),
            rates: Rates::new(&settings.usage_limits, shared_buckets),
            body_memory: BodyMemory::default(),
            sockets: Sockets::new(&settings.connection_limits),
            transfers: Transfers::new(&settings.connection_limits),
            public_url: PublicUrl::new(&settings),
            resumptions: Resumptions::new(settings.replay),
            hubs: Hubs::default(),
            session_ends: SessionEnds::default(),
            pings: PingSchedule::new(settings.socket_ping),
            estimator_cache: EstimatorCache::default(),
            queue_cache: QueueCache::default(),
            readiness: Readiness::default(),
            missing_results: MissingResults::default(),
            webhook_client: WebhookClient::new(&settings.webhooks),
            secret_cipher: SecretCipher::new(&parts.secrets.webhooks),
            parts,
            settings,
            draining,
        }
    }

    pub(crate) fn now(&self) -> irisflow_jobs::Timestamp {
        self.parts.clock.now()
    }
}
