//! Settings of the connections to a database, and the pool.

use std::str::FromStr as _;
use std::time::Duration;

use irisflow_jobs::StoreError;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::store_error::store_error;

/// How to connect.
#[derive(Clone)]
pub struct PostgresSettings {
    /// As in `postgres://user:password@host/database?sslmode=verify-full`.
    pub url: String,
    /// Connections of this node. The sum over all nodes must stay below `max_connections` of the server, with some
    /// left for migrations and administrators.
    pub max_connections: u32,
    /// How long a request waits for a free connection, or for the server to accept one.
    pub acquire_timeout: Duration,
    /// The server cancels a statement after this time.
    pub statement_timeout: Duration,
    /// A statement waits for a lock for so long at most.
    pub lock_timeout: Duration,
    /// The server ends a connection that does nothing in a transaction for so long. Shorter than `lock_timeout`, so that
    /// others get the locks of a node that was suspended, instead of an error.
    pub idle_in_transaction_timeout: Duration,
}

impl PostgresSettings {
    /// With defaults for everything but the URL.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 12,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(2),
        }
    }

    /// Where the database is, without credentials: as in `db.example.com:5432/irisflow`.
    ///
    /// # Errors
    /// When the URL is not valid.
    pub fn address(&self) -> Result<String, StoreError> {
        let options = self.parsed_url()?;
        let database = options.get_database().unwrap_or(options.get_username());
        Ok(match options.get_socket() {
            Some(socket) => format!("{}/{database}", socket.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        })
    }

    /// No error quotes the URL, which may contain a password.
    fn parsed_url(&self) -> Result<PgConnectOptions, StoreError> {
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| self.url.starts_with(scheme)) {
            let message = "the URL of the database does not begin with postgres://";
            return Err(StoreError::unavailable(message));
        }
        PgConnectOptions::from_str(&self.url).map_err(store_error)
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        let options = self.parsed_url()?;
        let timeout = |timeout: Duration| format!("{}ms", timeout.as_millis());
        Ok(options.application_name("irisflow").options([
            ("statement_timeout", timeout(self.statement_timeout)),
            ("lock_timeout", timeout(self.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                timeout(self.idle_in_transaction_timeout),
            ),
            // Requests are short; compiling them takes longer than running them.
            ("jit", "off".to_owned()),
        ]))
    }
}

impl std::fmt::Debug for PostgresSettings {
    /// Leaves the URL out, which contains the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A connection that was idle for longer than this is checked before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

pub(crate) async fn open_pool(settings: &PostgresSettings) -> Result<PgPool, StoreError> {
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(IDLE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                // A broken one is replaced, which is no reason to log.
                Ok(state.idle_for <= TRUSTED_IDLE || connection.ping().await.is_ok())
            })
        })
        .connect_with(settings.connect_options()?)
        .await
        .map_err(store_error)
}

#[cfg(all(test, unix))]
mod tests {
    use irisflow_test_servers::PostgresServer;
    use sqlx::ConnectOptions as _;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn others_get_the_locks_of_a_node_that_is_suspended_in_a_transaction() {
        let server = || PostgresServer::shared("locks of a suspended node");
        let Some(server) = tokio::task::block_in_place(server) else {
            return;
        };
        let defaults = PostgresSettings::of_url(server.url("postgres"));
        assert!(defaults.idle_in_transaction_timeout < defaults.lock_timeout);
        let settings = PostgresSettings {
            idle_in_transaction_timeout: Duration::from_millis(200),
            ..defaults
        };
        let options = settings.connect_options().expect("a valid URL");
        let mut suspended = options.connect().await.expect("it connects");
        let mut other = options.connect().await.expect("it connects");
        let lock = || sqlx::query("SELECT pg_advisory_xact_lock(1)");

        let begun = sqlx::query("BEGIN").execute(&mut suspended).await;
        begun.expect("begun");
        lock().execute(&mut suspended).await.expect("locked");
        lock()
            .execute(&mut other)
            .await
            .expect("locked in its turn");

        let error = lock().execute(&mut suspended).await.expect_err("ended");
        let error = store_error(error);
        assert!(error.is_outage() && error.is_transient(), "{error}");
    }
}
