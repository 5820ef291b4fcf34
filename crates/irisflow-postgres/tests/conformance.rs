//! PostgreSQL passes what every store must pass.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod real_time;

use irisflow_jobs::conformance::Setup;
use real_time::RealTime;

async fn create(setup: Setup) -> RealTime {
    RealTime::create(setup).await
}

irisflow_jobs::every_store_must_pass!(create);
