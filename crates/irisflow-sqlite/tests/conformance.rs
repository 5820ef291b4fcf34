//! SQLite passes what every store must pass.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

use irisflow_jobs::conformance::{Setup, Stores};
use irisflow_sqlite::SqliteStore;

async fn open(setup: Setup) -> Stores {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("irisflow.db");
    let store = SqliteStore::open(&path, setup.clock, setup.policy, setup.notifier)
        .await
        .expect("a new database");
    Stores::of(store, folder)
}

irisflow_jobs::every_store_must_pass!(open);
