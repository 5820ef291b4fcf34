//! Webhooks: the endpoints that manage them, and the deliverer that posts events to them.
//!
//! Deliveries are recorded with their events by the store (transactional outbox). `deliverer.rs` claims and sends them,
//! `attempt.rs` makes one request, `address.rs` keeps requests out of private networks, `message.rs` writes their
//! bodies, `secret.rs` encrypts secrets, `settings.rs` holds the limits.

mod address;
mod attempt;
mod bodies;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
mod deliverer;
mod endpoint_url;
mod event_names;
pub(crate) mod list;
pub(crate) mod list_deliveries;
mod message;
pub(crate) mod redeliver;
pub(crate) mod rotate_secret;
mod secret;
pub(crate) mod send_test;
mod settings;
pub(crate) mod show;

pub(crate) use attempt::WebhookClient;
pub(crate) use deliverer::{deliver, prune_deliveries};
pub(crate) use secret::SecretCipher;
pub use settings::WebhookSettings;
