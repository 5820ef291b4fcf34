//! Submissions with a key: asked again they do nothing and give the first answer.

use std::sync::Arc;
use tokio::task::JoinSet;

use super::store_under_test::queued;
use super::{SLACK, StoreUnderTest};
use crate::{
    Enqueued, Job, JobFilter, NewJob, PageRequest, PhotoId, Priority, QueueLimits, Submission,
    SubmissionKey, UserId,
};

pub async fn the_same_key_and_request_give_the_first_answer(store: StoreUnderTest) {
    let user_id = store.user().await;
    let first = [new(&store, user_id).await, new(&store, user_id).await];
    let jobs = queued(submit(&store, first.to_vec(), key(user_id, 1)).await);

    let again = vec![new(&store, user_id).await, new(&store, user_id).await];
    let answer = submit(&store, again, key(user_id, 1)).await;

    let response = "beside the jobs".to_owned();
    assert_eq!(answer, Enqueued::Before { jobs, response });
    assert_eq!(count(&store, user_id).await, 2);
}

pub async fn the_first_answer_does_not_change_with_its_jobs(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = queued(submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await);
    let running = store.claim().await;
    store.tick().await;
    store.finish(&running).await;

    let answer = submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;

    assert_eq!(jobs_of(answer), jobs);
}

pub async fn a_key_tells_its_first_answer_without_submitting(store: StoreUnderTest) {
    let user_id = store.user().await;
    let answered = async |key| {
        store
            .job_commands
            .stored_response(&key)
            .await
            .expect("the store works")
    };
    assert_eq!(answered(key(user_id, 1)).await, None);
    let jobs = queued(submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await);

    let first = answered(key(user_id, 1)).await;
    let other = answered(key(user_id, 2)).await;
    store.advance(store.policy.idempotency_key_life).await;
    let expired = answered(key(user_id, 1)).await;

    let response = "beside the jobs".to_owned();
    assert_eq!(first, Some(Enqueued::Before { jobs, response }));
    assert_eq!(other, Some(Enqueued::KeyTaken));
    assert_eq!(expired, None);
    assert_eq!(count(&store, user_id).await, 1);
}

pub async fn the_same_key_for_something_else_is_refused(store: StoreUnderTest) {
    let user_id = store.user().await;
    submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;

    let other = SubmissionKey {
        fingerprint: [2; 32],
        ..key(user_id, 1)
    };
    let answer = submit(&store, vec![new(&store, user_id).await], other).await;

    assert_eq!(answer, Enqueued::KeyTaken);
    assert_eq!(count(&store, user_id).await, 1);
}

pub async fn a_key_is_its_users_own(store: StoreUnderTest) {
    let (one, other) = (store.user().await, store.user().await);
    let first = queued(submit(&store, vec![new(&store, one).await], key(one, 1)).await);

    let second = queued(submit(&store, vec![new(&store, other).await], key(other, 1)).await);

    assert_ne!(first[0].id, second[0].id);
}

pub async fn a_key_of_a_refused_submission_is_free(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut bad = new(&store, user_id).await;
    bad.photo_id = PhotoId::generate();
    let refused = submit(&store, vec![bad.clone()], key(user_id, 1)).await;

    let good = submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;

    assert_eq!(refused, Enqueued::PhotoMissing(bad.photo_id));
    assert_eq!(queued(good).len(), 1);
}

pub async fn a_key_expires(store: StoreUnderTest) {
    let user_id = store.user().await;
    let life = store.policy.idempotency_key_life;
    let first = queued(submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await);

    store.advance(life - SLACK).await;
    let before = submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;
    store.advance(SLACK).await;
    let after = queued(submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await);

    assert_eq!(jobs_of(before)[0].id, first[0].id);
    assert_ne!(after[0].id, first[0].id);
}

pub async fn a_key_goes_with_the_last_of_its_jobs(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = vec![new(&store, user_id).await, new(&store, user_id).await];
    let jobs = queued(submit(&store, jobs, key(user_id, 1)).await);

    store.delete(&jobs[0]).await;
    let half = submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;
    store.delete(&jobs[1]).await;
    let gone = submit(&store, vec![new(&store, user_id).await], key(user_id, 1)).await;

    assert_eq!(jobs_of(half), jobs[1..]);
    assert_eq!(queued(gone).len(), 1);
}

pub async fn one_key_asked_for_by_many_at_once_makes_one_job(store: StoreUnderTest) {
    const CLIENTS: usize = 100;
    let user_id = store.user().await;
    let wanted = new(&store, user_id).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let jobs = Arc::clone(&store.job_commands);
        let new = NewJob {
            id: crate::JobId::generate(),
            ..wanted.clone()
        };
        clients.spawn(async move {
            let submission = Submission {
                jobs: vec![new],
                key: Some(key(user_id, 1)),
                limits: QueueLimits::NONE,
            };
            jobs.enqueue(submission).await.expect("the store works")
        });
    }

    let answers = clients.join_all().await;

    let made = |answer: &&Enqueued| matches!(answer, Enqueued::Now(_));
    assert_eq!(answers.iter().filter(made).count(), 1);
    let jobs: Vec<Job> = answers.into_iter().flat_map(jobs_of).collect();
    assert_eq!(jobs.len(), CLIENTS);
    assert!(jobs.iter().all(|job| job == &jobs[0]), "all name one job");
    assert_eq!(count(&store, user_id).await, 1);
}

/// All of a submission must fit.
pub async fn a_users_limit_holds_for_many_at_once(store: StoreUnderTest) {
    const CLIENTS: usize = 20;
    let limits = QueueLimits {
        of_user: 3,
        ..QueueLimits::NONE
    };
    let user_id = store.user().await;
    let wanted = new(&store, user_id).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let jobs = Arc::clone(&store.job_commands);
        let pair = [(); 2].map(|()| NewJob {
            id: crate::JobId::generate(),
            ..wanted.clone()
        });
        clients.spawn(async move {
            let submission = Submission {
                limits,
                ..Submission::of(pair.to_vec())
            };
            jobs.enqueue(submission).await.expect("the store works")
        });
    }

    let answers = clients.join_all().await;

    let refused = answers
        .iter()
        .filter(|&answer| *answer == Enqueued::UserQueueFull);
    assert_eq!(refused.count(), CLIENTS - 1);
    assert_eq!(count(&store, user_id).await, 2);
}

pub async fn a_full_queue_takes_nobodys_jobs(store: StoreUnderTest) {
    let limits = QueueLimits {
        of_all: 1,
        ..QueueLimits::NONE
    };
    let (user_id, other_id) = (store.user().await, store.user().await);
    let first = submit_within(&store, vec![new(&store, user_id).await], None, limits).await;
    let other = submit_within(&store, vec![new(&store, other_id).await], None, limits).await;
    store.claim().await;
    let later = submit_within(&store, vec![new(&store, other_id).await], None, limits).await;

    assert_eq!(other, Enqueued::QueueFull);
    assert_eq!((queued(first).len(), queued(later).len()), (1, 1));
}

pub async fn a_full_queue_still_gives_the_first_answer(store: StoreUnderTest) {
    let limits = QueueLimits {
        of_user: 1,
        of_all: 1,
    };
    let user_id = store.user().await;
    let tap = Some(key(user_id, 1));
    let first = vec![new(&store, user_id).await];
    let first = jobs_of(submit_within(&store, first, tap.clone(), limits).await);
    let again = vec![new(&store, user_id).await];
    let again = submit_within(&store, again, tap, limits).await;

    assert_eq!(jobs_of(again), first);
}

async fn new(store: &StoreUnderTest, user_id: UserId) -> NewJob {
    store.new_job(user_id, Priority::High).await
}

fn key(user_id: UserId, asked: u8) -> SubmissionKey {
    SubmissionKey {
        user_id,
        key: "a tap".to_owned(),
        fingerprint: [asked; 32],
        response: "beside the jobs".to_owned(),
    }
}

async fn submit(store: &StoreUnderTest, jobs: Vec<NewJob>, key: SubmissionKey) -> Enqueued {
    submit_within(store, jobs, Some(key), QueueLimits::NONE).await
}

async fn submit_within(
    store: &StoreUnderTest,
    jobs: Vec<NewJob>,
    key: Option<SubmissionKey>,
    limits: QueueLimits,
) -> Enqueued {
    let submission = Submission { jobs, key, limits };
    let enqueued = store.job_commands.enqueue(submission).await;
    enqueued.expect("the store works")
}

fn jobs_of(answer: Enqueued) -> Vec<Job> {
    match answer {
        Enqueued::Now(jobs) | Enqueued::Before { jobs, .. } => jobs,
        _ => Vec::new(),
    }
}

async fn count(store: &StoreUnderTest, user_id: UserId) -> u64 {
    let page = PageRequest {
        page: 1,
        page_size: 1,
    };
    let listed = store
        .job_reader
        .jobs(user_id, JobFilter::default(), page)
        .await;
    listed.expect("the store works").total
}
