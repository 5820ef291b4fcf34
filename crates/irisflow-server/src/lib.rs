//! The HTTP and WebSocket server: API, accounts, presigned URLs of the embedded storage, the embedded web app.
//!
//! `router.rs` lists all routes; each endpoint is one file. Request and response types live here and are converted:
//! no database row is serialized to a client. The state machine of jobs is in `irisflow-jobs`, image processing in
//! `irisflow-image`.

mod app;
mod auth;
mod body_memory;
mod client_address;
mod concurrency_limits;
mod connections;
mod cors;
mod error;
mod estimates;
mod extractors;
mod files;
mod health;
mod live;
mod metrics;
mod openapi;
mod photos;
mod privacy;
mod processing;
mod public_url;
mod quality;
mod queue_cache;
mod rate_limiter;
mod request_id;
mod request_log;
mod request_rates;
mod router;
mod server;
mod settings;
mod shared_rate_limiter;
mod timeouts;
mod tls;
mod traces;
mod transfer_limits;
mod usage_limits;
mod web;
mod webhooks;
mod worker_endpoint;

pub use app::{MonitoredParts, Secrets, ServerParts};
/// Rules for email addresses and passwords, shared with the commands of the operator.
pub mod accounts {
    pub use crate::auth::passwords::{NewPasswordError, Weakness, hash_new_password};
    pub use crate::auth::register::parse_email;
}

pub use cors::{Origin, OriginError};
pub use live::{asyncapi, event_schema};
pub use public_url::is_private;
pub use router::openapi;
pub use server::{Listeners, PreparedServer, prepare};
pub use settings::{
    ConnectionLimits, ConsentText, ConsentTextError, DecodeLimits, Registration, ServerSettings,
    SignInLimits, Timeouts, TlsFiles, UsageLimits, WebhookSettings,
};
pub use worker_endpoint::WorkerEndpoint;
