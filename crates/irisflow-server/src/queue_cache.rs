//! The queue as estimates look at it: one reading for all who ask at the same time, and for those who only
//! look whether something has changed one a second, however many they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{
    JobId, JobStore, OwnPlace, QueueOrder, QueuePlace, QueuedUser, StoreError, Timestamp, UserId,
    WorkerCapacity,
};
use tokio::sync::Mutex;

/// How old a reading may be for those who only look whether something has changed.
const RECENT: Duration = Duration::from_secs(1);
/// A user's jobs are read again after this long even when none has changed: default jobs come to count as
/// high, and retries come to be due.
const OLDEST_ORDER: Duration = Duration::from_secs(10);

/// What was read last, and when.
#[derive(Debug, Default)]
pub(crate) struct QueueCache {
    /// Locked while it is read, so that those who ask meanwhile share the answer.
    users: Mutex<Option<(Instant, Arc<Users>)>>,
    orders: StdMutex<HashMap<UserId, Arc<Mutex<Option<OwnOrder>>>>>,
}

#[derive(Debug)]
struct Users {
    order: QueueOrder,
    worker_capacity: WorkerCapacity,
}

/// One user's waiting jobs, in order.
#[derive(Debug, Clone)]
struct OwnOrder {
    /// The user when they were read: the same again means that nothing has changed.
    of: QueuedUser,
    read_at: Instant,
    places: Arc<HashMap<JobId, OwnPlace>>,
}

/// Where the waiting jobs of one user stand.
#[derive(Debug)]
pub(crate) struct UserQueue {
    user_id: UserId,
    users: Arc<Users>,
    places: Arc<HashMap<JobId, OwnPlace>>,
}

impl UserQueue {
    /// `None` for a job that does not wait.
    pub(crate) fn place(
        &self,
        job_id: JobId,
        now: Timestamp,
    ) -> Option<(QueuePlace, WorkerCapacity)> {
        let own = self.places.get(&job_id)?;
        let place = self.users.order.place(self.user_id, *own, now)?;
        Some((place, self.users.worker_capacity))
    }
}

impl QueueCache {
    /// Where one job stands at this moment. `None` when it does not wait.
    pub(crate) async fn place(
        &self,
        jobs: &dyn JobStore,
        user_id: UserId,
        job_id: JobId,
        now: Timestamp,
    ) -> Result<Option<(QueuePlace, WorkerCapacity)>, StoreError> {
        let asked = Instant::now();
        let Some(own) = jobs.own_place(user_id, job_id).await? else {
            return Ok(None);
        };
        let users = self.users(jobs, asked).await?;
        let place = users.order.place(user_id, own, now);
        Ok(place.map(|place| (place, users.worker_capacity)))
    }

    /// Where all waiting jobs of a user stand at this moment.
    pub(crate) async fn of_user(
        &self,
        jobs: &dyn JobStore,
        user_id: UserId,
    ) -> Result<UserQueue, StoreError> {
        self.read(jobs, user_id, Instant::now()).await
    }

    /// Where they stood within the last second.
    pub(crate) async fn recent_of_user(
        &self,
        jobs: &dyn JobStore,
        user_id: UserId,
    ) -> Result<UserQueue, StoreError> {
        let now = Instant::now();
        let oldest = now.checked_sub(RECENT).unwrap_or(now);
        self.read(jobs, user_id, oldest).await
    }

    async fn read(
        &self,
        jobs: &dyn JobStore,
        user_id: UserId,
        oldest: Instant,
    ) -> Result<UserQueue, StoreError> {
        let users = self.users(jobs, oldest).await?;
        let places = match users.order.user(user_id) {
            Some(user) => self.places(jobs, *user).await?,
            None => Arc::default(),
        };
        Ok(UserQueue {
            user_id,
            users,
            places,
        })
    }

    /// The users with waiting jobs, as read since `oldest`.
    async fn users(&self, jobs: &dyn JobStore, oldest: Instant) -> Result<Arc<Users>, StoreError> {
        let mut kept = self.users.lock().await;
        if let Some((_, users)) = kept.as_ref().filter(|(read_at, _)| *read_at >= oldest) {
            return Ok(Arc::clone(users));
        }
        let read_at = Instant::now();
        let order = QueueOrder::of(jobs.queued_users().await?);
        let worker_capacity = jobs.worker_capacity().await?;
        self.orders()
            .retain(|user_id, _| order.user(*user_id).is_some());
        let users = Arc::new(Users {
            order,
            worker_capacity,
        });
        *kept = Some((read_at, Arc::clone(&users)));
        Ok(users)
    }

    async fn places(
        &self,
        jobs: &dyn JobStore,
        user: QueuedUser,
    ) -> Result<Arc<HashMap<JobId, OwnPlace>>, StoreError> {
        let kept = Arc::clone(self.orders().entry(user.user_id).or_default());
        let mut kept = kept.lock().await;
        if let Some(order) = kept.as_ref()
            && order.of == user
            && order.read_at.elapsed() < OLDEST_ORDER
        {
            return Ok(Arc::clone(&order.places));
        }
        let read_at = Instant::now();
        let waiting = jobs.waiting_jobs(user.user_id).await?;
        let places = (0..).zip(waiting).map(|(ahead, job)| {
            let run_at = job.run_at;
            (job.id, OwnPlace { ahead, run_at })
        });
        let places = Arc::new(places.collect());
        *kept = Some(OwnOrder {
            of: user,
            read_at,
            places: Arc::clone(&places),
        });
        Ok(places)
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, Arc<Mutex<Option<OwnOrder>>>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
