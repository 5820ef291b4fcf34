//! A fresh PostgreSQL database, whose time goes on by itself: a test that lets time pass moves all stored times back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::conformance::{Setup, TestDatabase};
use irisflow_jobs::{Store, Timestamp};
use irisflow_postgres::{PostgresSettings, PostgresStore, migrate};
use irisflow_test_servers::{Database, PostgresServer};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::OnceCell;

#[derive(Debug)]
pub(crate) struct RealTime {
    database: Database,
    setup: Setup,
}

impl RealTime {
    /// As a copy of a database that was migrated once.
    pub(crate) async fn create(setup: Setup) -> Self {
        static TEMPLATE: OnceCell<Database> = OnceCell::const_new();
        let server = tokio::task::block_in_place(PostgresServer::shared_or_skip);
        let template = TEMPLATE.get_or_init(async || {
            let database = server.create_database("template1").await;
            let settings = PostgresSettings::of_url(database.url());
            migrate(&settings).await.expect("the schema is made");
            database
        });
        let database = server.create_database(template.await.name()).await;
        Self { database, setup }
    }

    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings::of_url(self.database.url())
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        let setup = self.setup.clone();
        let store = PostgresStore::connect(&self.settings(), setup.policy, setup.notifier).await;
        store.expect("the database opens")
    }

    /// A connection beside the store's own.
    pub(crate) async fn connection(&self) -> PgConnection {
        let options: PgConnectOptions = self.database.url().parse().expect("a URL");
        options.connect().await.expect("it connects")
    }

    /// Adds to every column that holds an instant, in one transaction.
    async fn shift_stored_times(&self, by_ms: i64) {
        let mut connection = self.connection().await;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'
                 AND (column_name = 'at' OR column_name LIKE '%\\_at' OR column_name LIKE '%\\_until')
             -- Triggers set those of webhooks when deliveries change.
             ORDER BY table_name = 'webhooks' DESC",
        )
        .fetch_all(&mut connection)
        .await
        .expect("its columns");
        assert!(columns.len() > 20, "{columns:?}");
        let mut script = String::new();
        for (table, column) in columns {
            script += &format!("UPDATE {table} SET {column} = {column} + {by_ms}; ");
        }
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .expect("the times are shifted");
        connection.close().await.expect("it closes");
    }
}

#[async_trait(?Send)]
impl TestDatabase for RealTime {
    async fn open_node(&self) -> Arc<dyn Store> {
        Arc::new(self.open().await)
    }

    async fn now(&self) -> Timestamp {
        let mut connection = self.connection().await;
        let now = sqlx::query_scalar("SELECT clock_ms()").fetch_one(&mut connection);
        let now: i64 = now.await.expect("the time");
        connection.close().await.expect("it closes");
        Timestamp::from_millis(now)
    }

    async fn advance(&self, by: Duration) {
        self.shift_stored_times(-millis(by)).await;
    }

    async fn step_back(&self, by: Duration) {
        self.shift_stored_times(millis(by)).await;
    }

    async fn tick(&self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a short time")
}
