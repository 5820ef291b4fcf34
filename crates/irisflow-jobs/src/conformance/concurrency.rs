//! What must hold when many ask at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::StoreUnderTest;
use super::accounts::{GRACE, rotated, sign_in};
use super::store_under_test::{fence, result_of, timed_out, worker_lost};
use crate::{
    Job, JobId, NewAccount, PasswordChange, Priority, Submission, UserId, WorkerId, WriteOutcome,
};

const WORKERS: usize = 8;

pub async fn many_workers_claim_each_job_once(store: StoreUnderTest) {
    const JOBS: usize = 60;
    let users = [store.user().await, store.user().await, store.user().await];
    for index in 0..JOBS {
        store.queue(users[index % users.len()]).await;
    }

    let claimed = claim_all(&store).await;

    let distinct: BTreeSet<JobId> = claimed.iter().map(|job| job.id).collect();
    assert_eq!((claimed.len(), distinct.len()), (JOBS, JOBS));
    assert!(claimed.iter().all(|job| job.epoch == 1), "claimed once");
}

/// A watcher that has read up to a position never finds something new below it.
pub async fn the_order_of_positions_is_the_order_of_commits(store: StoreUnderTest) {
    const JOBS: usize = 40;
    let user_id = store.user().await;
    let mut writers = JoinSet::new();
    let mut queued = Vec::new();
    for _ in 0..JOBS {
        let new = store.new_job(user_id, Priority::High).await;
        queued.push(new.id);
        let commands = Arc::clone(&store.job_commands);
        writers.spawn(async move { commands.enqueue(Submission::of(vec![new])).await });
    }

    let mut last_seq = 0;
    while last_seq < JOBS as i64 {
        last_seq = store.last_seq(user_id).await.expect("it has a timeline");
        let visible = positions_up_to(&store, user_id, &queued, last_seq).await;
        assert_eq!(visible, (1..=last_seq).collect());
        while let Some(written) = writers.try_join_next() {
            written.expect("no panic").expect("queued");
        }
    }
}

pub async fn of_two_writers_with_one_fence_only_one_ends_the_job(store: StoreUnderTest) {
    let job = store.running_job().await;
    let mut writers = JoinSet::new();
    for index in 0..WORKERS {
        let (leases, fence, result) = (Arc::clone(&store.job_leases), fence(&job), result_of(&job));
        writers.spawn(async move {
            if index % 2 == 0 {
                leases.finish(fence, result).await
            } else {
                leases.fail_attempt(fence, timed_out()).await
            }
        });
    }

    let written = writers.join_all().await;

    let recorded = written
        .into_iter()
        .filter(|written| matches!(written, Ok(WriteOutcome::Recorded(_))));
    assert_eq!(recorded.count(), 1);
    assert_eq!(store.kinds(&job).await.len(), 2, "queued and one end");
}

pub async fn of_many_reapers_one_takes_the_job(store: StoreUnderTest) {
    store.running_job().await;
    store.let_leases_expire().await;
    let mut reapers = JoinSet::new();
    for _ in 0..WORKERS {
        let leases = Arc::clone(&store.job_leases);
        reapers.spawn(async move {
            leases
                .reap_one(worker_lost())
                .await
                .expect("the store works")
        });
    }

    let reaped = reapers.join_all().await;

    let crashes: Vec<u32> = reaped.iter().flatten().map(|job| job.crashes).collect();
    assert_eq!(crashes, [1]);
}

pub async fn one_address_registered_at_once_makes_one_account(store: StoreUnderTest) {
    let mut people = JoinSet::new();
    for _ in 0..WORKERS {
        let accounts = Arc::clone(&store.accounts);
        people.spawn(async move {
            let new = NewAccount {
                id: UserId::generate(),
                email: "eye@example.org".to_owned(),
                password_hash: "not a hash".to_owned(),
            };
            accounts.add_account(new).await.expect("the store works")
        });
    }

    let added = people.join_all().await;

    assert_eq!(added.iter().flatten().count(), 1);
}

/// Two tabs of one browser that refresh at the same moment keep their session.
pub async fn one_token_refreshed_at_once_keeps_its_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    let until = session.expires_at;
    let mut tabs = JoinSet::new();
    for _ in 0..WORKERS {
        let accounts = Arc::clone(&store.accounts);
        tabs.spawn(async move {
            let rotation = accounts.rotate_refresh([1; 32], [2; 32], GRACE, until);
            rotation.await.expect("the store works")
        });
    }

    for outcome in tabs.join_all().await {
        assert_eq!(rotated(outcome).session.id, session.id);
    }
}

/// The same old password, sent by many at once, is replaced once.
pub async fn of_many_password_changes_at_once_one_is_made(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    let mut tabs = JoinSet::new();
    for tab in 0..WORKERS {
        let accounts = Arc::clone(&store.accounts);
        let change = PasswordChange {
            old_hash: "not a hash".to_owned(),
            new_hash: format!("hash {tab}"),
        };
        let (user_id, kept) = (session.user_id, session.id);
        tabs.spawn(async move { accounts.change_password(user_id, change, kept).await });
    }

    let changed = tabs.join_all().await.into_iter();

    let made = changed.filter(|made| *made.as_ref().expect("the store works"));
    assert_eq!(made.count(), 1);
}

/// Workers that claim until nothing is left.
async fn claim_all(store: &StoreUnderTest) -> Vec<Job> {
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let leases = Arc::clone(&store.job_leases);
        workers.spawn(async move {
            let worker = WorkerId::generate();
            let mut claimed = Vec::new();
            while let Some(job) = leases.claim_next(worker).await.expect("the store works") {
                claimed.push(job);
            }
            claimed
        });
    }
    workers.join_all().await.concat()
}

async fn positions_up_to(
    store: &StoreUnderTest,
    user_id: UserId,
    jobs: &[JobId],
    last_seq: i64,
) -> BTreeSet<i64> {
    let mut positions = BTreeSet::new();
    for &job_id in jobs {
        let events = store.timeline.job_events_after(user_id, job_id, 0).await;
        let events = events.expect("the store works");
        positions.extend(events.iter().map(|event| event.seq));
    }
    positions.retain(|&seq| seq <= last_seq);
    positions
}
