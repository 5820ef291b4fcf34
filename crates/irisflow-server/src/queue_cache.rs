//! Cache of the queue order for estimates. Concurrent callers share one read of the store; periodic checks for changes
//! share one read per second, however many sockets make them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{
    JobId, OwnPlace, QueueOrder, QueuePlace, QueueReader, QueuedUser, StoreError, Timestamp,
    UserId, WorkerCapacity,
};
use tokio::sync::Mutex;

/// Maximum age of cached data for periodic checks.
const RECENT_MAX_AGE: Duration = Duration::from_secs(1);
/// Maximum age of the order of a user's jobs. It also changes without a write to any of them, when a job of default
/// priority has waited so long that it counts as high, or when a retry becomes due.
const ORDER_MAX_AGE: Duration = Duration::from_secs(10);

/// The data read last, with the time of each read.
#[derive(Debug, Default)]
pub(crate) struct QueueCache {
    /// Locked during a read of the store, so that concurrent callers wait for it and share its result.
    users: Mutex<Option<(Instant, Arc<Users>)>>,
    orders: StdMutex<HashMap<UserId, Arc<Mutex<Option<OwnOrder>>>>>,
}

#[derive(Debug)]
struct Users {
    order: QueueOrder,
    worker_capacity: WorkerCapacity,
}

/// The waiting jobs of one user, in order.
#[derive(Debug, Clone)]
struct OwnOrder {
    /// The state of the user at the time of the read. It is still valid while the user is equal to it.
    user: QueuedUser,
    read_at: Instant,
    places: Arc<HashMap<JobId, OwnPlace>>,
}

/// Queue positions of the waiting jobs of one user.
#[derive(Debug)]
pub(crate) struct UserQueue {
    user_id: UserId,
    users: Arc<Users>,
    places: Arc<HashMap<JobId, OwnPlace>>,
}

impl UserQueue {
    /// Queue position of a job; `None` when it does not wait.
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
    /// Current queue position of one job; `None` when it does not wait.
    pub(crate) async fn place(
        &self,
        queue: &dyn QueueReader,
        user_id: UserId,
        job_id: JobId,
        now: Timestamp,
    ) -> Result<Option<(QueuePlace, WorkerCapacity)>, StoreError> {
        let called_at = Instant::now();
        let Some(own) = queue.own_place(user_id, job_id).await? else {
            return Ok(None);
        };
        let users = self.users(queue, called_at).await?;
        let place = users.order.place(user_id, own, now);
        Ok(place.map(|place| (place, users.worker_capacity)))
    }

    /// Current queue positions of all waiting jobs of a user.
    pub(crate) async fn of_user(
        &self,
        queue: &dyn QueueReader,
        user_id: UserId,
    ) -> Result<UserQueue, StoreError> {
        self.read(queue, user_id, Instant::now()).await
    }

    /// Queue positions of all waiting jobs of a user, up to `RECENT_MAX_AGE` old.
    pub(crate) async fn recent_of_user(
        &self,
        queue: &dyn QueueReader,
        user_id: UserId,
    ) -> Result<UserQueue, StoreError> {
        let now = Instant::now();
        let oldest = now.checked_sub(RECENT_MAX_AGE).unwrap_or(now);
        self.read(queue, user_id, oldest).await
    }

    async fn read(
        &self,
        queue: &dyn QueueReader,
        user_id: UserId,
        oldest: Instant,
    ) -> Result<UserQueue, StoreError> {
        let users = self.users(queue, oldest).await?;
        let places = match users.order.user(user_id) {
            Some(user) => self.places(queue, *user).await?,
            None => Arc::default(),
        };
        Ok(UserQueue {
            user_id,
            users,
            places,
        })
    }

    /// The users with waiting jobs, from a read that began at `oldest` or later.
    async fn users(
        &self,
        queue: &dyn QueueReader,
        oldest: Instant,
    ) -> Result<Arc<Users>, StoreError> {
        let mut cached = self.users.lock().await;
        if let Some((_, users)) = cached.as_ref().filter(|(read_at, _)| *read_at >= oldest) {
            return Ok(Arc::clone(users));
        }
        let read_at = Instant::now();
        let order = QueueOrder::of(queue.queued_users().await?);
        let worker_capacity = queue.worker_capacity().await?;
        self.orders()
            .retain(|user_id, _| order.user(*user_id).is_some());
        let users = Arc::new(Users {
            order,
            worker_capacity,
        });
        *cached = Some((read_at, Arc::clone(&users)));
        Ok(users)
    }

    async fn places(
        &self,
        queue: &dyn QueueReader,
        user: QueuedUser,
    ) -> Result<Arc<HashMap<JobId, OwnPlace>>, StoreError> {
        let cached = Arc::clone(self.orders().entry(user.user_id).or_default());
        let mut cached = cached.lock().await;
        if let Some(order) = cached.as_ref()
            && order.user == user
            && order.read_at.elapsed() < ORDER_MAX_AGE
        {
            return Ok(Arc::clone(&order.places));
        }
        let read_at = Instant::now();
        let waiting = queue.waiting_jobs(user.user_id).await?;
        let places = (0..).zip(waiting).map(|(ahead, job)| {
            let run_at = job.run_at;
            (job.id, OwnPlace { ahead, run_at })
        });
        let places = Arc::new(places.collect());
        *cached = Some(OwnOrder {
            user,
            read_at,
            places: Arc::clone(&places),
        });
        Ok(places)
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, Arc<Mutex<Option<OwnOrder>>>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
