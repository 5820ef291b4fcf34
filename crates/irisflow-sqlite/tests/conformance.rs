//! SQLite passes what every store must pass.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod manual_time;

use std::sync::Arc;

use irisflow_jobs::conformance::Setup;
use manual_time::ManualTime;

async fn create(setup: Setup) -> ManualTime {
    let folder = tempfile::tempdir().expect("a temporary folder");
    ManualTime::in_folder(&Arc::new(folder), setup)
}

irisflow_jobs::every_store_must_pass!(create);
