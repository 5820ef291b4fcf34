//! A SQLite database whose time is a clock that stands still until a test moves it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::conformance::{Setup, TestDatabase};
use irisflow_jobs::{Clock as _, ManualClock, Store, Timestamp};
use irisflow_sqlite::SqliteStore;
use tempfile::TempDir;

const START: Timestamp = Timestamp::from_millis(1_770_653_765_123);

#[derive(Debug)]
pub(crate) struct ManualTime {
    folder: Arc<TempDir>,
    clock: Arc<ManualClock>,
    setup: Setup,
}

impl ManualTime {
    /// The clock of each starts at the same time.
    pub(crate) fn in_folder(folder: &Arc<TempDir>, setup: Setup) -> Self {
        Self {
            folder: Arc::clone(folder),
            clock: Arc::new(ManualClock::at(START)),
            setup,
        }
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        let path = self.folder.path().join("irisflow.db");
        let (clock, setup) = (self.clock.clone(), self.setup.clone());
        let store = SqliteStore::open(&path, clock, setup.policy, setup.notifier).await;
        store.expect("the database opens")
    }
}

#[async_trait(?Send)]
impl TestDatabase for ManualTime {
    async fn open_node(&self) -> Arc<dyn Store> {
        Arc::new(self.open().await)
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn step_back(&self, by: Duration) {
        self.clock.set(self.clock.now() - by);
    }

    async fn tick(&self) {
        self.clock.advance(Duration::from_millis(1));
    }
}
