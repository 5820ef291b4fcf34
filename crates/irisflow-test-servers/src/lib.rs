//! Developer crate: real servers for tests, each on a private socket in a temporary folder. They end with the process
//! of the tests, however that ends. Not part of the product.
#![cfg(unix)]

mod nats;
mod postgres;
#[cfg(feature = "s3")]
mod s3;
mod skip;

pub use nats::{NatsError, NatsServer};
pub use postgres::{Database, PostgresServer, StartError};
#[cfg(feature = "s3")]
pub use s3::{S3Fault, S3Server};
