//! Claims still work when the queue counters disagree with the jobs.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod manual_time;

use std::path::Path;
use std::sync::Arc;

use irisflow_jobs::conformance::StoreUnderTest;
use irisflow_jobs::{Enqueued, Priority, QueueLimits, Submission};
use manual_time::ManualTime;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_promised_job_is_not_there_holds_nobody_up() {
    let (store, folder) = store().await;
    let (first, second) = (store.user().await, store.user().await);
    edit(
        folder.path(),
        "UPDATE timelines SET queued = 1, next_run_at = 0",
    )
    .await;
    let job = store.queue(second).await;

    assert_eq!(store.claim().await.id, job.id);
    assert_eq!(store.try_claim().await, None);
    let unfinished = store.statistics.usage(first).await.expect("read");
    assert_eq!(unfinished.unfinished_jobs, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_the_counters_hide_is_claimed_after_their_repair() {
    let (store, folder) = store().await;
    let (hidden, other) = (store.user().await, store.user().await);
    let job = store.queue(hidden).await;
    store.queue(other).await;
    let others_job = store.claim().await;
    let (job, others_job) = if others_job.id == job.id {
        (store.queue(hidden).await, others_job)
    } else {
        (job, others_job)
    };
    edit(
        folder.path(),
        "UPDATE timelines SET queued = 0, running = 7, next_run_at = NULL",
    )
    .await;
    assert_eq!(store.try_claim().await, None);
    let notifications = store.notifications.work_notifications();

    let repaired = store.health.repair_counters().await.expect("repaired");

    assert_eq!(repaired, 2);
    assert!(
        store.notifications.work_notifications() > notifications,
        "workers are woken"
    );
    let queue = store.statistics.queue().await.expect("read");
    assert_eq!((queue.waiting, queue.running), (2, 1));
    let mut claimed = [store.claim().await.id, store.claim().await.id];
    claimed.sort_unstable();
    assert!(claimed.contains(&job.id));
    store.finish(&others_job).await;
    assert_eq!(store.health.repair_counters().await.expect("checked"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_are_right_are_left_alone() {
    let (store, _folder) = store().await;
    for _ in 0..3 {
        let user_id = store.user().await;
        store.queue(user_id).await;
        store.queue(user_id).await;
    }
    store.claim().await;
    let running = store.claim().await;
    store.finish(&running).await;
    let notifications = store.notifications.work_notifications();

    let repaired = store.health.repair_counters().await.expect("checked");

    assert_eq!(
        (repaired, store.notifications.work_notifications()),
        (0, notifications)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_that_are_wrong_refuse_jobs_only_until_their_repair() {
    let (store, folder) = store().await;
    let user_id = store.user().await;
    edit(folder.path(), "UPDATE queue_totals SET waiting = 1000000").await;
    let submit = async || {
        let jobs = vec![store.new_job(user_id, Priority::High).await];
        let limits = QueueLimits {
            of_user: u64::MAX,
            of_all: 10,
        };
        let submission = Submission {
            limits,
            ..Submission::of(jobs)
        };
        store
            .job_commands
            .enqueue(submission)
            .await
            .expect("the store works")
    };
    assert_eq!(submit().await, Enqueued::QueueFull);

    store.health.repair_counters().await.expect("repaired");

    assert!(matches!(submit().await, Enqueued::Now(_)));
}

async fn store() -> (StoreUnderTest, Arc<TempDir>) {
    let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
    let store = StoreUnderTest::fresh(async |setup| ManualTime::in_folder(&folder, setup)).await;
    (store, folder)
}

/// As with the database's own shell.
async fn edit(folder: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("irisflow.db"));
    let mut connection = options.connect().await.expect("it opens");
    let edited = sqlx::query(sql).execute(&mut connection).await;
    edited.expect("it is edited");
    connection.close().await.expect("it closes");
}
