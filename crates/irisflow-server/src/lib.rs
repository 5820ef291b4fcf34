//! The API: HTTP, WebSocket, accounts, signed files, the embedded web app.
//!
//! `router.rs` is the table of contents; one endpoint is one file. Wire types live here and are
//! converted: no row of a database reaches a client. Rules of a job's life are in `irisflow-jobs`,
//! pixels in `irisflow-image`.

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
mod router;
mod server;
mod settings;
mod timeouts;
mod tls;
mod transfer_limits;
mod usage_limits;
mod web;

pub use app::{Secrets, ServerParts};
/// What the operator's commands share with the API: the rules for addresses and passwords.
pub mod accounts {
    pub use crate::auth::passwords::{NewPasswordError, hash_new_password};
    pub use crate::auth::register::parse_email;
}

pub use cors::{Origin, OriginError};
pub use public_url::is_private;
pub use router::openapi;
pub use server::{Listeners, PreparedServer, prepare};
pub use settings::{
    ConnectionLimits, ConsentText, ConsentTextError, DEFAULT_MIN_FREE_BYTES, DecodeLimits,
    Registration, ServerSettings, SignInLimits, Timeouts, TlsFiles, UsageLimits,
};
