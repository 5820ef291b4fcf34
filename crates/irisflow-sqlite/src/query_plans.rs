//! The query plans of the queue, pinned: each query reads an index in its order and never scans all users or
//! the backlog. A changed plan fails here and not under load.

use std::sync::Arc;

use irisflow_jobs::{JobPolicy, SystemClock};
use sqlx::{AssertSqlSafe, Row as _};

use super::tests::DiscardNotifications;
use super::*;
use crate::job_leases::{FIRST_DUE_OF_USER, NEXT_DUE, NEXT_USER};
use crate::queue_counters::USERS_WITH_WRONG_COUNTERS;
use crate::queue_reader::{OWN_PLACE, QUEUED_USERS, WAITING_JOBS_OF_USER};
use crate::statistics::QUEUE;
use crate::timeline::LAST_SEQS_SINCE;

#[tokio::test]
async fn a_claim_walks_the_users_in_order_and_takes_the_first() {
    let plan = plan_of(NEXT_USER).await;
    assert_eq!(
        plan,
        ["SCAN timelines USING COVERING INDEX timelines_claim_order"],
        "no sorting"
    );
    let plan = plan_of(FIRST_DUE_OF_USER).await;
    let due =
        "SEARCH jobs USING COVERING INDEX jobs_waiting (user_id=? AND priority=? AND run_at<?)";
    assert!(plan.iter().any(|step| step == due), "{plan:#?}");
    let plan = plan_of(NEXT_DUE).await;
    assert_eq!(
        plan,
        ["SEARCH timelines USING COVERING INDEX timelines_next (next_run_at>?)"]
    );
}

#[tokio::test]
async fn the_length_of_the_queue_is_read_and_not_counted() {
    let plan = plan_of(QUEUE).await;
    let users = plan.iter().filter(|step| step.contains("timelines"));
    assert_eq!(
        users.collect::<Vec<_>>(),
        ["SEARCH timelines USING COVERING INDEX timelines_next (next_run_at>?)"]
    );
    assert!(
        plan.contains(&"SEARCH queue_totals USING INTEGER PRIMARY KEY (rowid=?)".to_owned()),
        "{plan:#?}"
    );
}

#[tokio::test]
async fn estimates_look_at_users_that_wait_and_at_the_jobs_of_one() {
    let plan = plan_of(QUEUED_USERS).await;
    assert_eq!(plan.len(), 1);
    assert!(
        plan[0].starts_with("SEARCH timelines USING INDEX"),
        "{plan:#?}"
    );
    let plan = plan_of(WAITING_JOBS_OF_USER).await;
    assert_eq!(
        plan,
        ["SEARCH jobs USING COVERING INDEX jobs_waiting (user_id=?)"]
    );
    let plan = plan_of(OWN_PLACE).await;
    let own = "SEARCH other USING COVERING INDEX jobs_waiting (user_id=?)";
    assert!(plan.iter().any(|step| step == own), "{plan:#?}");
    assert!(
        plan[0].starts_with("SEARCH mine USING INDEX sqlite_autoindex_jobs_1"),
        "{plan:#?}"
    );
}

#[tokio::test]
async fn checking_the_counters_looks_at_no_job_that_has_ended() {
    let plan = plan_of(USERS_WITH_WRONG_COUNTERS).await;
    let jobs = plan.iter().filter(|step| step.starts_with("SCAN jobs"));
    assert_eq!(
        jobs.collect::<Vec<_>>(),
        [
            "SCAN jobs USING COVERING INDEX jobs_waiting",
            "SCAN jobs USING INDEX jobs_leased"
        ]
    );
}

#[tokio::test]
async fn the_resync_of_watchers_looks_at_recent_events_alone() {
    let plan = plan_of(LAST_SEQS_SINCE).await;
    assert_eq!(
        plan[0], "SEARCH events USING COVERING INDEX events_by_age (at>?)",
        "{plan:#?}"
    );
}

async fn plan_of(query: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join("db");
    let (clock, listener) = (Arc::new(SystemClock), Arc::new(DiscardNotifications));
    let store = SqliteStore::open(&path, clock, JobPolicy::default(), listener)
        .await
        .expect("a store");
    let explained = format!("EXPLAIN QUERY PLAN {query}");
    let steps = sqlx::query(AssertSqlSafe(explained))
        .fetch_all(&store.readers)
        .await
        .expect("a plan");
    steps.iter().map(|step| step.get("detail")).collect()
}
