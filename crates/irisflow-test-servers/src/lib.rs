//! Developer crate: real servers for tests, each on a private socket in a temporary folder. They end with the process
//! of the tests, however that ends. Not part of the product.
#![cfg(unix)]

mod postgres;

pub use postgres::{Database, PostgresServer, StartError};
