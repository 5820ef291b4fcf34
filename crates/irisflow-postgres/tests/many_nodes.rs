//! What PostgreSQL alone promises: several nodes on one database.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod real_time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use irisflow_jobs::conformance::{Setup, StoreUnderTest, TestDatabase as _};
use irisflow_jobs::{Job, JobId, JobLeases as _, Priority, UserId, WorkerId};
use irisflow_postgres::{
    PostgresSettings, PostgresStore, SchemaStep, examine, migrate, missing_migrations,
};
use irisflow_test_servers::PostgresServer;
use real_time::RealTime;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;

async fn create(setup: Setup) -> RealTime {
    RealTime::create(setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_migrate_at_once_make_one_schema() {
    let server = tokio::task::block_in_place(PostgresServer::shared_or_skip);
    let database = server.create_database("template1").await;
    let mut nodes = JoinSet::new();
    for _ in 0..4 {
        let settings = PostgresSettings::of_url(database.url());
        nodes.spawn(async move { migrate(&settings).await });
    }

    let nodes = nodes.join_all().await.into_iter();
    let mut applied: Vec<SchemaStep> = nodes
        .flat_map(|applied| applied.expect("migrated, or found to be"))
        .collect();

    let count = applied.len();
    applied.dedup();
    assert!(
        count > 0 && applied.len() == count,
        "each once: {applied:?}"
    );
    let settings = PostgresSettings::of_url(database.url());
    let missing = missing_migrations(&settings).await.expect("it is read");
    assert_eq!(missing, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_a_node_is_that_of_the_database() {
    let database = RealTime::create(Setup::fresh()).await;
    let clock = database
        .open()
        .await
        .start_clock()
        .await
        .expect("it is asked");

    let before = database.now().await;
    let now = clock.now();
    let after = database.now().await;

    let slack = Duration::from_millis(200);
    assert!(
        before - slack <= now && now <= after + slack,
        "{before:?} {now:?} {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_says_what_the_database_is_like() {
    let server = tokio::task::block_in_place(PostgresServer::shared_or_skip);
    let database = server.create_database("template1").await;
    let settings = PostgresSettings::of_url(database.url());

    let fresh = examine(&settings).await.expect("it is reached");
    migrate(&settings).await.expect("migrated");
    let migrated = examine(&settings).await.expect("it is reached");

    assert!(!fresh.missing_migrations.is_empty());
    assert_eq!(migrated.missing_migrations, []);
    assert!(migrated.may_create && migrated.is_local && !migrated.is_read_only);
    assert!(!migrated.is_durable, "the test's server runs without fsync");
    assert!(migrated.open_connections < migrated.max_connections);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_two_nodes_claim_each_job_once_and_none_goes_idle() {
    const JOBS: usize = 60;
    let store = StoreUnderTest::fresh(create).await;
    // One user: all claims are for the same row.
    let user_id = store.user().await;
    for _ in 0..JOBS {
        store.queue(user_id).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let node = store.open_node().await;
        for _ in 0..4 {
            let node = node.clone();
            workers.spawn(async move {
                let mut claimed: Vec<Job> = Vec::new();
                while let Some(job) = node
                    .claim_next(WorkerId::generate())
                    .await
                    .expect("the store works")
                {
                    claimed.push(job);
                }
                claimed
            });
        }
    }

    let claimed = workers.join_all().await.concat();

    let distinct: BTreeSet<JobId> = claimed.iter().map(|job| job.id).collect();
    assert_eq!((claimed.len(), distinct.len()), (JOBS, JOBS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_claim_at_once_serve_different_users() {
    const USERS: usize = 12;
    let store = StoreUnderTest::fresh(create).await;
    let mut jobs = Vec::new();
    for _ in 0..USERS {
        let user_id = store.user().await;
        for _ in 0..3 {
            jobs.push(store.new_job(user_id, Priority::High).await);
        }
    }
    store.queue_all(jobs).await;
    let mut workers = JoinSet::new();
    for _ in 0..USERS {
        let leases = store.job_leases.clone();
        workers.spawn(async move { leases.claim_next(WorkerId::generate()).await });
    }

    let mut served: BTreeMap<UserId, usize> = BTreeMap::new();
    for claimed in workers.join_all().await {
        let job = claimed.expect("the store works").expect("jobs wait");
        *served.entry(job.user_id).or_default() += 1;
    }

    // A claim in progress may hide a user from another one for a moment.
    let most = served.values().max().copied().unwrap_or(0);
    assert!(served.len() >= USERS - 2 && most <= 2, "{served:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_does_not_wait_for_a_user_who_is_locked() {
    let database = RealTime::create(Setup::fresh()).await;
    let mut other = database.connection().await;
    let store = StoreUnderTest::fresh(async |_| database).await;
    let (first, second) = (store.user().await, store.user().await);
    store.queue(first).await;
    store.tick().await;
    let next = store.queue(second).await;

    let mut transaction = other.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM timelines WHERE user_id = $1 FOR UPDATE")
        .bind(first.as_uuid())
        .execute(&mut *transaction)
        .await
        .expect("locked");

    assert_eq!(store.claim().await.id, next.id);
    transaction.rollback().await.expect("rolled back");
}

const FIRST_IN_ORDER: &str = "UPDATE timelines SET claim_mark = -1 WHERE user_id = $1";
const LOCK: &str = "UPDATE timelines SET last_seq = last_seq WHERE user_id = $1";
const NO_LONGER_DUE: &str = "UPDATE timelines SET next_run_at = NULL WHERE user_id = $1";

async fn change(connection: &mut PgConnection, sql: &'static str, user_id: UserId) {
    let changed = sqlx::query(sql).bind(user_id.as_uuid());
    changed.execute(connection).await.expect("it is changed");
}

/// Waits until so many transactions wait for a lock.
async fn until_waiting(observer: &mut PgConnection, wanted: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
    loop {
        let waiting = sqlx::query_scalar(waiting).fetch_one(&mut *observer);
        let waiting: i64 = waiting.await.expect("the locks");
        if waiting == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_that_wait_for_users_who_stop_being_due_do_not_deadlock() {
    let database = RealTime::create(Setup::fresh()).await;
    let mut observer = database.connection().await;
    // A deadlock would last until statements time out.
    let patient = "DO $$ BEGIN EXECUTE
         format('ALTER DATABASE %I SET deadlock_timeout = 3600000', current_database()); END $$";
    let patient = sqlx::raw_sql(patient).execute(&mut observer);
    patient.await.expect("the setting");
    let (mut one, mut two) = (database.connection().await, database.connection().await);
    let nodes = [database.open().await, database.open().await];
    let store = StoreUnderTest::fresh(async |_| database).await;
    let (first, second) = (store.user().await, store.user().await);
    for user_id in [first, second] {
        store.queue(user_id).await;
        store.tick().await;
    }
    let claims = nodes.map(|node| async move { node.claim_next(WorkerId::generate()).await });
    let [claim, other_claim] = claims;

    // Both users are locked. One claim waits for the first; then the second one comes first, for the other claim.
    let mut holds_first = one.begin().await.expect("begun");
    change(&mut holds_first, LOCK, first).await;
    let mut holds_second = two.begin().await.expect("begun");
    change(&mut holds_second, FIRST_IN_ORDER, second).await;
    let claim = tokio::spawn(claim);
    until_waiting(&mut observer, 1).await;
    holds_second.commit().await.expect("committed");
    let mut holds_second = two.begin().await.expect("begun");
    change(&mut holds_second, LOCK, second).await;
    let other_claim = tokio::spawn(other_claim);
    until_waiting(&mut observer, 2).await;
    // Neither is due any more, one after the other.
    change(&mut holds_first, NO_LONGER_DUE, first).await;
    holds_first.commit().await.expect("committed");
    until_waiting(&mut observer, 2).await;
    change(&mut holds_second, NO_LONGER_DUE, second).await;
    holds_second.commit().await.expect("committed");

    for claim in [claim, other_claim] {
        let claimed = tokio::time::timeout(Duration::from_secs(4), claim).await;
        let claimed = claimed.expect("it waits for no other claim");
        assert_eq!(claimed.expect("it ends").expect("the store works"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_are_wrong_are_repaired() {
    let database = RealTime::create(Setup::fresh()).await;
    let mut connection = database.connection().await;
    let store = StoreUnderTest::fresh(async |_| database).await;
    let (promised, hidden) = (store.user().await, store.user().await);
    let job = store.queue(hidden).await;
    let mut edit = async |sql: &'static str, user_id: UserId| {
        let edited = sqlx::query(sql).bind(user_id.as_uuid());
        edited.execute(&mut connection).await.expect("it is edited");
    };
    edit(
        "UPDATE timelines SET queued = 1, next_run_at = 0 WHERE user_id = $1",
        promised,
    )
    .await;
    edit(
        "UPDATE timelines SET queued = 0, running = 7, next_run_at = NULL WHERE user_id = $1",
        hidden,
    )
    .await;

    assert_eq!(
        store.try_claim().await,
        None,
        "the promised job is not there"
    );
    let repaired = store.health.repair_counters().await.expect("repaired");

    assert_eq!(repaired, 1, "the claim repaired the other");
    assert_eq!(store.claim().await.id, job.id);
    assert_eq!(store.health.repair_counters().await.expect("checked"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_connection_limit_to_spare_waits_its_turn() {
    let database = RealTime::create(Setup::fresh()).await;
    let setup = Setup::fresh();
    let settings = PostgresSettings {
        max_connections: 1,
        ..database.settings()
    };
    let node = PostgresStore::connect(&settings, setup.policy, setup.notifier).await;
    let node = node.expect("it connects");
    let mut claims = JoinSet::new();
    for _ in 0..20 {
        let node = node.clone();
        claims.spawn(async move { node.claim_next(WorkerId::generate()).await });
    }
    for claimed in claims.join_all().await {
        assert_eq!(claimed.expect("it waits for the connection"), None);
    }
}
