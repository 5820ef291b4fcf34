//! A server for one test alone.

use std::io::Write as _;

use irisflow_test_servers::{PostgresServer, StartError};

/// `None`, with a message, when PostgreSQL is not installed.
pub(crate) fn own_server() -> Option<PostgresServer> {
    match tokio::task::block_in_place(PostgresServer::start) {
        Ok(server) => Some(server),
        Err(error @ StartError::Missing) => {
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: {error}.");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
