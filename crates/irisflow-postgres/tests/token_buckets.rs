//! Rate limits that hold over all nodes of a database.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

mod real_time;

use std::time::Duration;

use irisflow_jobs::conformance::Setup;
use irisflow_jobs::{BucketKey, BucketSize, TakenTokens, TokenBuckets as _};
use irisflow_postgres::PostgresStore;
use real_time::RealTime;
use tokio::task::JoinSet;

const SIZE: BucketSize = BucketSize {
    burst: 3,
    refill: Duration::from_secs(600),
};
const KEY: BucketKey = [7; 16];

async fn take(node: &PostgresStore) -> Option<Duration> {
    take_of(node, SIZE.burst).await
}

/// Takes a token of a bucket that lacks fewer than `allowed`.
async fn take_of(node: &PostgresStore, allowed: u32) -> Option<Duration> {
    let taken = node.take_token(KEY, SIZE, allowed).await;
    taken.expect("it answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_take_at_once_get_one_burst_together() {
    let database = RealTime::create(Setup::fresh()).await;
    let nodes = [database.open().await, database.open().await];
    let mut takes = JoinSet::new();
    for index in 0..40 {
        let node = nodes[index % 2].clone();
        takes.spawn(async move { take(&node).await });
    }
    let waits: Vec<Duration> = takes.join_all().await.into_iter().flatten().collect();
    assert_eq!(waits.len(), 37, "three got a token");
    for wait in waits {
        let late = SIZE.refill.saturating_sub(wait);
        assert!(
            wait <= SIZE.refill && late < Duration::from_secs(60),
            "{wait:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_put_back_and_a_filled_bucket_gives_its_burst_again() {
    let database = RealTime::create(Setup::fresh()).await;
    let node = database.open().await;
    for _ in 0..3 {
        assert_eq!(take(&node).await, None);
    }
    node.return_token(KEY, SIZE).await.expect("put back");
    assert_eq!(take(&node).await, None);
    assert!(take(&node).await.is_some());
    node.fill_bucket(KEY).await.expect("filled");
    assert_eq!(take_of(&node, 1).await, None, "it was full");
    assert!(take_of(&node, 1).await.is_some(), "it is not full any more");
    assert_eq!(take(&node).await, None, "two are left");
    let never = node.take_token(KEY, SIZE, 0).await.expect("it answers");
    assert_eq!(never, Some(SIZE.refill));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_back_with_time_and_full_buckets_are_deleted() {
    let database = RealTime::create(Setup::fresh()).await;
    let node = database.open().await;
    let fast = BucketSize {
        burst: 1,
        refill: Duration::from_millis(20),
    };
    let mut taken = 0;
    let begun = std::time::Instant::now();
    while taken < 5 && begun.elapsed() < Duration::from_secs(60) {
        match node.take_token(KEY, fast, 1).await.expect("it answers") {
            None => taken += 1,
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
    assert_eq!(taken, 5);
    assert!(begun.elapsed() >= fast.refill * 4, "{:?}", begun.elapsed());
    for number in 0..400_u32 {
        let mut key = BucketKey::default();
        key[..4].copy_from_slice(&number.to_be_bytes());
        let instant = BucketSize {
            refill: Duration::from_micros(1),
            ..fast
        };
        node.take_token(key, instant, 1).await.expect("it answers");
    }
    let count = sqlx::query_scalar("SELECT count(*) FROM token_buckets");
    let left: i64 = count
        .fetch_one(&mut database.connection().await)
        .await
        .expect("counted");
    assert!(left < 400, "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_have_taken_already_is_added_up_and_owed() {
    let database = RealTime::create(Setup::fresh()).await;
    let nodes = [database.open().await, database.open().await];
    let taken = |number: u8, tokens| TakenTokens {
        key: [number; 16],
        size: SIZE,
        tokens,
    };
    let intervals = |full_in: Duration| (full_in.as_secs_f64() / SIZE.refill.as_secs_f64()).ceil();

    let first = nodes[0].record_taken(&[taken(9, 1), taken(7, 2)]).await;
    let second = nodes[1].record_taken(&[taken(7, 3), taken(8, 1)]).await;
    let third = nodes[0].record_taken(&[taken(7, 9)]).await;

    let [first, second, third] = [first, second, third].map(|full_in| {
        let full_in = full_in.expect("recorded").into_iter();
        full_in.map(intervals).collect::<Vec<f64>>()
    });
    assert_eq!((first, second), (vec![1.0, 2.0], vec![5.0, 1.0]));
    assert_eq!(third, [6.0], "a bucket owes as much as it holds at most");
    assert!(take(&nodes[1]).await.is_some());
    assert!(
        nodes[0]
            .record_taken(&[])
            .await
            .expect("recorded")
            .is_empty()
    );
}
