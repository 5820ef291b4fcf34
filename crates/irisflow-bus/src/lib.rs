//! The port [`Bus`](irisflow_jobs::Bus) within one process, and between processes on core NATS.

mod gaps;
mod local_bus;
mod nats_bus;
mod nats_connection;
mod nats_settings;
mod publisher;
mod topics;
mod wire;

pub use local_bus::LocalBus;
pub use nats_bus::NatsBus;
pub use nats_settings::{NatsSettings, NatsSettingsError, NatsTls};
