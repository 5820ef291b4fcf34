//! The port [`Bus`](irisflow_jobs::Bus) within one process.

mod local_bus;
mod topics;

pub use local_bus::LocalBus;
