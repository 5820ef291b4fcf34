//! The servers that the processes of a cluster share.

use std::path::Path;

use anyhow::Context as _;
use irisflow_test_servers::{NatsError, NatsServer, PostgresServer, S3Server};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::slow_proxy::SlowProxy;
use crate::faults::faulty_disk::TmpfsDisk;

/// The role of the nodes. Limits on connections do not apply to a superuser.
const ROLE: &str = "irisflow";
const DATABASE: &str = "cluster";
/// What a connection beyond a limit is refused with (`too_many_connections`).
const TOO_MANY_CONNECTIONS: &str = "53300";
/// More than the write-ahead log of PostgreSQL grows to between two checkpoints, and a quick fill.
const DISK_MB: usize = 2_048;

#[derive(Debug)]
pub(super) struct Servers {
    pub(super) postgres: PostgresServer,
    /// Of the superuser.
    pub(super) database: PgPool,
    /// Without it the nodes poll.
    pub(super) nats: Option<NatsServer>,
    /// What the nodes connect to in place of NATS.
    pub(super) nats_proxy: Option<SlowProxy>,
    /// Without it photos and results are files in the data folder of all nodes.
    pub(super) s3: Option<S3Server>,
    /// The disk of PostgreSQL, if it is one of its own.
    pub(super) disk: Option<TmpfsDisk>,
}

impl Servers {
    /// With PostgreSQL on a small disk of its own below `disks`, if given and possible.
    pub(super) async fn start(disks: Option<&Path>) -> anyhow::Result<Self> {
        let disk = disks.and_then(|disks| TmpfsDisk::mount(&disks.join("postgres"), DISK_MB).ok());
        let postgres = tokio::task::block_in_place(|| match &disk {
            Some(disk) => PostgresServer::start_below(disk.path()),
            None => PostgresServer::start(),
        })?;
        let mut superuser = PgConnection::connect(&postgres.url("postgres")).await?;
        for statement in [
            format!("CREATE ROLE {ROLE} LOGIN"),
            format!("CREATE DATABASE {DATABASE} OWNER {ROLE}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut superuser)
                .await?;
        }
        superuser.close().await?;
        let database = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy(&postgres.url(DATABASE))?;
        let nats = tokio::task::block_in_place(start_nats)?;
        let nats_proxy = match &nats {
            Some(nats) => Some(SlowProxy::start(nats.address()).await?),
            None => None,
        };
        Ok(Self {
            postgres,
            database,
            nats,
            nats_proxy,
            s3: Some(S3Server::start()?),
            disk,
        })
    }

    /// The settings by which a process finds them.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("IRISFLOW_DATABASE_URL", self.url_of_nodes())];
        if let Some(proxy) = &self.nats_proxy {
            settings.push(("IRISFLOW_BUS_URL", format!("nats://{}", proxy.address)));
        }
        if let Some(s3) = &self.s3 {
            settings.extend([
                ("IRISFLOW_S3_BUCKET", S3Server::BUCKET.to_owned()),
                ("IRISFLOW_S3_ENDPOINT", s3.url()),
                ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY.to_owned()),
                ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY.to_owned()),
            ]);
        }
        settings
    }

    /// Ends the connections of all nodes, and lets them have this many.
    pub(super) async fn limit_connections(&self, limit: u32) -> anyhow::Result<()> {
        self.execute(format!("ALTER ROLE {ROLE} CONNECTION LIMIT {limit}"))
            .await?;
        self.execute(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
        ))
        .await
    }

    pub(super) async fn lift_limit_of_connections(&self) -> anyhow::Result<()> {
        self.execute(format!("ALTER ROLE {ROLE} CONNECTION LIMIT -1"))
            .await
    }

    /// Whether a further connection of a node is refused because of the limit.
    pub(super) async fn refuses_connections(&self) -> bool {
        match PgConnection::connect(&self.url_of_nodes()).await {
            Ok(connection) => {
                let _ = connection.close().await;
                false
            }
            Err(sqlx::Error::Database(error)) => {
                error.code().as_deref() == Some(TOO_MANY_CONNECTIONS)
            }
            Err(_) => false,
        }
    }

    /// Writes more than fits into what PostgreSQL has reserved on its disk.
    pub(super) async fn grow(&self) -> anyhow::Result<()> {
        let grown = "CREATE TABLE grown AS SELECT repeat(md5(n::text), 10) FROM generate_series(1, 10000) AS n";
        self.execute(grown.to_owned()).await?;
        self.execute("DROP TABLE grown".to_owned()).await
    }

    pub(super) async fn connections_of_nodes(&self) -> anyhow::Result<i64> {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        let count = sqlx::query_scalar(count).bind(ROLE);
        count
            .fetch_one(&self.database)
            .await
            .context("counting connections")
    }

    fn url_of_nodes(&self) -> String {
        let of_superuser = self.postgres.url(DATABASE);
        of_superuser.replace("postgres://postgres@", &format!("postgres://{ROLE}@"))
    }

    async fn execute(&self, statement: String) -> anyhow::Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        statement.execute(&self.database).await.map(drop)?;
        Ok(())
    }
}

fn start_nats() -> Result<Option<NatsServer>, NatsError> {
    match NatsServer::start("") {
        Ok(server) => Ok(Some(server)),
        Err(NatsError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}
