//! What SQLite alone promises: the file outlives the process, and a process that holds it may take
//! every job from the workers of the one before.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod manual_time;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::conformance::{Setup, StoreUnderTest};
use irisflow_jobs::{
    ErrorType, Failure, Fence, JobId, JobLeases as _, JobState, Renewal, StoreHealth as _, WorkerId,
};
use irisflow_sqlite::SqliteStore;
use manual_time::ManualTime;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::task::JoinSet;

fn worker_lost() -> Failure {
    Failure::new(ErrorType::ServerError, "worker_lost", "m", "s")
}

fn storage_unavailable() -> Failure {
    Failure::new(ErrorType::TransientError, "storage_unavailable", "m", "s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reopened_file_holds_everything() {
    let folder = new_folder();
    let before = process(&folder).await;
    let job = before.running_job().await;
    let job = before
        .reach(&job, &[irisflow_jobs::Checkpoint::EnhancingBegun])
        .await;
    let (events, sweeps) = (before.events(&job).await, before.due_sweeps().await);
    let photo = before.photos.photo(job.user_id, job.photo_id).await;
    drop(before);

    let after = process(&folder).await;

    assert_eq!(after.read(&job).await, Some(job.clone()));
    assert_eq!(after.events(&job).await, events);
    assert_eq!(after.due_sweeps().await, sweeps);
    let read = after.photos.photo(job.user_id, job.photo_id).await;
    assert_eq!(read.expect("read"), photo.expect("read"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voiding_returns_running_jobs_at_once_and_counts_a_crash() {
    let folder = new_folder();
    let before = process(&folder).await;
    let running = [before.running_job().await, before.running_job().await];
    let done = before.running_job().await;
    let done = before.finish(&done).await;
    drop(before);

    let after = process(&folder).await;
    let voided = connection(&folder).await.void_leases(&worker_lost()).await;

    assert_eq!(voided.expect("voided"), 2);
    for job in running {
        let job = after.read(&job).await.expect("the job is kept");
        assert_eq!((&job.state, job.crashes), (&JobState::Waiting, 1));
        assert_eq!(job.run_at, after.now().await, "it is due at once");
    }
    assert_eq!(after.read(&done).await, Some(done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_that_stops_every_process_fails_at_the_crash_limit() {
    let folder = new_folder();
    let store = process(&folder).await;
    let job = store.queue(store.user().await).await;

    for _ in 0..store.policy.max_crashes {
        store.claim().await;
        let next_process = connection(&folder).await;
        next_process
            .void_leases(&worker_lost())
            .await
            .expect("voided");
    }

    let job = store.read(&job).await.expect("the job is kept");
    assert_eq!(job.state, JobState::Failed(worker_lost()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voided_worker_is_fenced_off() {
    let folder = new_folder();
    let store = process(&folder).await;
    let job = store.running_job().await;

    let next_process = connection(&folder).await;
    next_process
        .void_leases(&worker_lost())
        .await
        .expect("voided");

    let fence = Fence {
        job_id: job.id,
        epoch: job.epoch,
    };
    assert_eq!(
        store.job_leases.renew(fence).await.expect("read"),
        Renewal::Lost
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_claim_each_job_once() {
    const JOBS: usize = 200;
    let folder = new_folder();
    let store = process(&folder).await;
    let user_id = store.user().await;
    let mut new = Vec::new();
    for _ in 0..JOBS {
        new.push(store.new_job(user_id, irisflow_jobs::Priority::High).await);
    }
    store.queue_all(new).await;
    let connections = [connection(&folder).await, connection(&folder).await];

    let mut workers = JoinSet::new();
    for index in 0..8 {
        let connection = connections[index % connections.len()].clone();
        workers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(job) = connection
                .claim_next(WorkerId::generate())
                .await
                .expect("a waiting writer gets its turn")
            {
                claimed.push(job.id);
            }
            claimed
        });
    }

    let claimed: Vec<JobId> = workers.join_all().await.concat();
    let distinct: BTreeSet<JobId> = claimed.iter().copied().collect();
    assert_eq!((claimed.len(), distinct.len()), (JOBS, JOBS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_clock_that_was_set_back_are_due_again() {
    let folder = new_folder();
    let before = process(&folder).await;
    before.advance(Duration::from_secs(2 * 60 * 60)).await;
    let retried = before.running_job().await;
    let retried = before.fail(&retried, storage_unavailable()).await;
    let queued = before.queue(before.user().await).await;

    // Its clock stands where the first one began.
    let after = connection(&folder).await;
    let worker = WorkerId::generate();
    assert_eq!(after.claim_next(worker).await.expect("read"), None);
    assert_eq!(after.repair_times().await.expect("repaired"), 2);
    assert_eq!(after.repair_times().await.expect("repaired"), 0);

    let mut due = Vec::new();
    while let Some(job) = after.claim_next(worker).await.expect("read") {
        due.push(job.id);
    }
    due.sort();
    let mut expected = [queued.id, retried.id];
    expected.sort();
    assert_eq!(due, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pause_before_a_retry_is_left_alone() {
    let folder = new_folder();
    let store = process(&folder).await;
    let retried = store.running_job().await;
    let retried = store.fail(&retried, storage_unavailable()).await;

    let repaired = connection(&folder).await.repair_times().await;

    assert_eq!(repaired.expect("read"), 0);
    let now = store.read(&retried).await.expect("the job is kept");
    assert_eq!(now.run_at, retried.run_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_program_holds_is_an_outage() {
    let folder = new_folder();
    let store = connection(&folder).await;
    store.check_writable().await.expect("writable");
    let path = folder.path().join("irisflow.db");
    let options = SqliteConnectOptions::new().filename(path);
    let mut other = options.connect().await.expect("another program");
    let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await;
    begun.expect("it holds the file");

    let error = store.check_writable().await.expect_err("it is held");
    assert!(error.is_outage(), "{error}");

    let ended = sqlx::query("ROLLBACK").execute(&mut other).await;
    ended.expect("it lets go");
    store.check_writable().await.expect("writable again");
}

/// A process with the database in this folder.
async fn process(folder: &Arc<TempDir>) -> StoreUnderTest {
    StoreUnderTest::fresh(async |setup| ManualTime::in_folder(folder, setup)).await
}

/// The database itself, for what no port offers.
async fn connection(folder: &Arc<TempDir>) -> SqliteStore {
    ManualTime::in_folder(folder, Setup::fresh()).open().await
}

fn new_folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary folder"))
}
