//! The suites hold as well for a database whose time goes on by itself and cannot be moved, as PostgreSQL's:
//! here SQLite runs on the machine's clock, and a test that lets time pass moves all stored times back.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::conformance::{Setup, TestDatabase};
use irisflow_jobs::{Clock as _, Store, SystemClock, Timestamp};
use irisflow_sqlite::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

#[derive(Debug)]
struct RunningTime {
    folder: tempfile::TempDir,
    setup: Setup,
}

async fn create(setup: Setup) -> RunningTime {
    let folder = tempfile::tempdir().expect("a temporary folder");
    RunningTime { folder, setup }
}

impl RunningTime {
    fn path(&self) -> PathBuf {
        self.folder.path().join("irisflow.db")
    }

    /// Adds to every column that holds an instant, in one transaction.
    async fn shift_stored_times(&self, by_ms: i64) {
        let options = SqliteConnectOptions::new().filename(self.path());
        let options = options.busy_timeout(Duration::from_secs(5));
        let mut connection = options.connect().await.expect("it opens");
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT tables.name, columns.name FROM sqlite_schema AS tables,
                 pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table' AND tables.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
                 AND (columns.name = 'at' OR columns.name LIKE '%\\_at' ESCAPE '\\'
                      OR columns.name LIKE '%\\_until' ESCAPE '\\')",
        )
        .fetch_all(&mut connection)
        .await
        .expect("its columns");
        assert!(columns.len() > 20, "{columns:?}");
        let mut script = "BEGIN IMMEDIATE; ".to_owned();
        for (table, column) in columns {
            script += &format!("UPDATE {table} SET {column} = {column} + {by_ms}; ");
        }
        script += "COMMIT";
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .expect("the times are shifted");
        connection.close().await.expect("it closes");
    }
}

#[async_trait(?Send)]
impl TestDatabase for RunningTime {
    async fn open_node(&self) -> Arc<dyn Store> {
        let (clock, setup) = (Arc::new(SystemClock), self.setup.clone());
        let store = SqliteStore::open(&self.path(), clock, setup.policy, setup.notifier).await;
        Arc::new(store.expect("the database opens"))
    }

    async fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn advance(&self, by: Duration) {
        self.shift_stored_times(-millis(by)).await;
    }

    async fn step_back(&self, by: Duration) {
        self.shift_stored_times(millis(by)).await;
    }

    async fn tick(&self) {
        let begun = SystemClock.now();
        while SystemClock.now() <= begun {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a short time")
}

irisflow_jobs::every_store_must_pass!(create);
