//! Hubs: all watchers of one user on this node share one bus subscription, one serialisation of each event, and one
//! estimate of each job.
//!
//! A hub delivers the user's timeline in order and without holes: when a notification does not follow the last one, it
//! reads what is missing from the store, once for all watchers. A watcher that is too slow for the hub's short backlog
//! reads the store by itself.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use irisflow_jobs::{
    BatchId, Cursor, Delivery, Event, EventsAfter, JobId, Notification, PhotoId, StoreError,
    Subscription, UserId, WatchFilter,
};
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::outbox::{SharedEstimate, SharedEvent};
use super::user_frames::ServerFrame;
use crate::app::{App, AppState};
use crate::estimates::{EstimateBody, EstimateSubject, pixels_of};
use crate::public_url::BaseUrl;

/// Messages and bytes that a hub keeps for its watchers.
const MAX_BACKLOG: usize = 128;
const MAX_BACKLOG_BYTES: usize = 128 * 1024;
/// After this long without a message, the backlog is freed.
const BACKLOG_LIFE: Duration = Duration::from_secs(5);
/// Events in one read of the store.
const PAGE: u32 = 100;
/// Pause before a failed read of the store is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Estimates sent at once; others that have changed follow at the next check.
const MAX_ESTIMATES_AT_ONCE: usize = 100;
/// Number of hubs from which on ended ones are removed from the table.
const MIN_CLEANUP_SIZE: usize = 64;

/// The hubs of this node. URLs in events depend on the base URL, so each has hubs of its own.
#[derive(Debug, Default)]
pub(crate) struct Hubs(Mutex<HubTable>);

#[derive(Debug, Default)]
struct HubTable {
    hubs: HashMap<(UserId, BaseUrl), Weak<Hub>>,
    cleanup_size: usize,
}

#[derive(Debug)]
struct Hub {
    backlog: Mutex<Backlog>,
    /// Watchers of the estimate of one job.
    estimates: Mutex<HashMap<JobId, watch::Sender<Option<EstimateBody>>>>,
    /// The backlog has a new message, or the task has ended.
    advanced: Notify,
    /// Number of [`HubReceiver`]s. Without any, nothing is serialised: a new one begins with a snapshot.
    receivers: AtomicUsize,
    /// Set once the bus subscription exists and the position was read.
    started: OnceCell<()>,
    /// The task has ended.
    ended: AtomicBool,
    /// Ends the task of the hub with its last watcher.
    closed: CancellationToken,
    _close: DropGuard,
}

#[derive(Debug, Clone)]
pub(crate) enum HubMessage {
    Event(Arc<SharedEvent>),
    Estimate(Arc<SharedEstimate>),
}

/// The newest messages; `next` is the number of the message that follows them.
#[derive(Debug, Default)]
struct Backlog {
    messages: VecDeque<HubMessage>,
    bytes: usize,
    next: u64,
}

/// What a watcher receives from its hub.
#[derive(Debug, Clone)]
pub(crate) enum FromHub {
    Message(HubMessage),
    /// The watcher was too slow.
    Missed,
}

/// The task of the hub has ended, which happens only after a panic or at the shutdown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubEnded;

/// One watcher's subscription to a hub.
#[derive(Debug)]
pub(crate) struct HubReceiver {
    hub: Arc<Hub>,
    /// The number of the next message to receive.
    next: u64,
}

impl Hubs {
    /// Subscribes to a user's hub. What is committed after this returns is received.
    pub(crate) async fn join(
        &self,
        app: &App,
        user_id: UserId,
        base: &BaseUrl,
    ) -> Result<HubReceiver, StoreError> {
        let hub = self.started_hub(app, user_id, base).await?;
        hub.receivers.fetch_add(1, Ordering::Relaxed);
        let next = hub.backlog().next;
        Ok(HubReceiver { hub, next })
    }

    /// Subscribes to the estimate of one job, whose changes are received.
    pub(crate) async fn watch_estimate(
        &self,
        app: &App,
        user_id: UserId,
        base: &BaseUrl,
        job_id: JobId,
    ) -> Result<EstimateWatch, StoreError> {
        let hub = self.started_hub(app, user_id, base).await?;
        let mut estimates = hub.estimates();
        let sender = estimates.entry(job_id).or_default();
        let receiver = sender.subscribe();
        drop(estimates);
        Ok(EstimateWatch {
            receiver,
            _hub: hub,
        })
    }

    async fn started_hub(
        &self,
        app: &App,
        user_id: UserId,
        base: &BaseUrl,
    ) -> Result<Arc<Hub>, StoreError> {
        loop {
            let hub = self.hub(user_id, base);
            let start = || Pump::start(app, user_id, base, &hub);
            hub.started.get_or_try_init(start).await?;
            if !hub.has_ended() {
                return Ok(hub);
            }
            // Its task has ended.
            self.lock().hubs.remove(&(user_id, base.clone()));
        }
    }

    fn hub(&self, user_id: UserId, base: &BaseUrl) -> Arc<Hub> {
        let mut table = self.lock();
        if table.hubs.len() >= table.cleanup_size.max(MIN_CLEANUP_SIZE) {
            table.hubs.retain(|_, hub| hub.strong_count() > 0);
            table.cleanup_size = table.hubs.len() * 2;
        }
        let entry = table.hubs.entry((user_id, base.clone())).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let hub = Hub::new();
            *entry = Arc::downgrade(&hub);
            hub
        })
    }

    fn lock(&self) -> MutexGuard<'_, HubTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    fn new() -> Arc<Self> {
        let closed = CancellationToken::new();
        Arc::new(Self {
            backlog: Mutex::default(),
            estimates: Mutex::default(),
            advanced: Notify::new(),
            receivers: AtomicUsize::new(0),
            started: OnceCell::new(),
            ended: AtomicBool::new(false),
            _close: closed.clone().drop_guard(),
            closed,
        })
    }

    fn estimates(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Option<EstimateBody>>>> {
        self.estimates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn send_estimate(&self, job_id: JobId, estimate: &EstimateBody) {
        let mut estimates = self.estimates();
        if let Some(sender) = estimates.get(&job_id)
            && sender.send(Some(estimate.clone())).is_err()
        {
            // Its last watcher has left.
            estimates.remove(&job_id);
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher's subscription to the estimate of a job.
#[derive(Debug)]
pub(crate) struct EstimateWatch {
    receiver: watch::Receiver<Option<EstimateBody>>,
    _hub: Arc<Hub>,
}

impl EstimateWatch {
    /// Waits for a changed estimate. Cancel safe.
    pub(crate) async fn changed(&mut self) -> EstimateBody {
        loop {
            if self.receiver.changed().await.is_err() {
                // The job has ended: its last event follows.
                std::future::pending::<()>().await;
            }
            if let Some(estimate) = self.receiver.borrow_and_update().clone() {
                return estimate;
            }
        }
    }
}

impl Backlog {
    fn push(&mut self, message: HubMessage) {
        self.bytes += message.bytes();
        self.messages.push_back(message);
        self.next += 1;
        while self.messages.len() > MAX_BACKLOG || self.bytes > MAX_BACKLOG_BYTES {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }

    fn get(&self, number: u64) -> Option<FromHub> {
        let behind = usize::try_from(self.next - number).unwrap_or(usize::MAX);
        if behind == 0 {
            return None;
        }
        let Some(index) = self.messages.len().checked_sub(behind) else {
            return Some(FromHub::Missed);
        };
        self.messages.get(index).cloned().map(FromHub::Message)
    }

    fn free(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }
}

impl HubMessage {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.json.len(),
            Self::Estimate(estimate) => estimate.json.len(),
        }
    }
}

impl HubReceiver {
    /// The next message, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<FromHub> {
        let backlog = self.hub.backlog();
        let received = backlog.get(self.next)?;
        self.next = match received {
            FromHub::Message(_) => self.next + 1,
            FromHub::Missed => backlog.next,
        };
        Some(received)
    }

    /// Waits for the next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<FromHub, HubEnded> {
        loop {
            // Before the look at the backlog, so that no message comes unseen in between.
            let hub = Arc::clone(&self.hub);
            let advanced = hub.advanced.notified();
            if let Some(received) = self.try_next() {
                return Ok(received);
            }
            if hub.has_ended() {
                return Err(HubEnded);
            }
            advanced.await;
        }
    }
}

impl Drop for HubReceiver {
    fn drop(&mut self) {
        self.hub.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The task of a hub.
struct Pump {
    app: App,
    user_id: UserId,
    base: BaseUrl,
    hub: Weak<Hub>,
    closed: CancellationToken,
    subscription: Box<dyn Subscription<Notification>>,
    /// Events up to here were delivered.
    position: Cursor,
    /// When to read events that may have been missed.
    read_at: Option<Instant>,
    /// When estimates are compared with those sent last, while a job is unfinished.
    estimate_at: Instant,
    /// When the backlog is freed, while there is one.
    backlog_until: Option<Instant>,
    unfinished: HashMap<JobId, WatchedJob>,
}

/// An unfinished job whose estimate is sent when it changes.
struct WatchedJob {
    subject: EstimateSubject,
    photo_id: Option<PhotoId>,
    batch_id: Option<BatchId>,
    /// Number of pixels of the photo, once looked up.
    pixels: Option<Option<u64>>,
    /// The estimate sent last.
    sent: Option<EstimateBody>,
}

impl Pump {
    async fn start(
        app: &App,
        user_id: UserId,
        base: &BaseUrl,
        hub: &Arc<Hub>,
    ) -> Result<(), StoreError> {
        // Subscribe before reading, so that nothing is committed unseen in between.
        let subscription = app.parts.bus.subscribe_to_user(user_id).await;
        let everything = WatchFilter::default();
        let snapshot = app
            .parts
            .timeline
            .user_snapshot(user_id, &everything, 0)
            .await?
            .ok_or_else(|| StoreError::corrupt("an account without a timeline"))?;
        let unfinished = snapshot.jobs.iter().filter_map(|job| {
            let watched = WatchedJob {
                subject: EstimateSubject::of_job(job)?,
                photo_id: Some(job.photo_id),
                batch_id: job.batch_id,
                pixels: None,
                sent: None,
            };
            Some((job.id, watched))
        });
        let pump = Self {
            app: Arc::clone(app),
            user_id,
            base: base.clone(),
            hub: Arc::downgrade(hub),
            closed: hub.closed.clone(),
            subscription,
            position: snapshot.cursor,
            read_at: None,
            estimate_at: Instant::now() + app.settings.estimate_interval,
            backlog_until: None,
            unfinished: unfinished.collect(),
        };
        tokio::spawn(pump.run());
        Ok(())
    }

    /// Its branches are boxed and share one timer: most hubs are idle, and their tasks should be small.
    async fn run(mut self) {
        loop {
            let due = self.next_due();
            tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                delivery = self.subscription.next() => match delivery {
                    Some(delivery) => Box::pin(self.on_delivery(delivery)).await,
                    // The bus is closed: the process ends.
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    Box::pin(self.on_time()).await;
                }
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let estimates = (!self.unfinished.is_empty()).then_some(self.estimate_at);
        let all = [self.read_at, estimates, self.backlog_until];
        all.into_iter().flatten().min()
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_newer().await;
        }
        if !self.unfinished.is_empty() && self.estimate_at <= now {
            self.send_changed_estimates().await;
            self.estimate_at = Instant::now() + self.app.settings.estimate_interval;
        }
        if self.backlog_until.is_some_and(|at| at <= now) {
            self.backlog_until = None;
            self.free_backlog();
        }
    }

    async fn on_delivery(&mut self, delivery: Delivery<Notification>) {
        match delivery {
            Delivery::Message(Notification::Event(event)) if event.seq <= self.position.seq => {}
            Delivery::Message(Notification::Event(event))
                if event.seq == self.position.seq + 1 && self.read_at.is_none() =>
            {
                self.deliver(Event::clone(&event)).await;
            }
            Delivery::Message(Notification::SessionEnded(session_id)) => {
                self.app.session_ends.end(session_id);
            }
            Delivery::Message(Notification::Event(_) | Notification::TimelineAdvanced)
            | Delivery::Missed => self.read_newer().await,
        }
    }

    /// Delivers all events after the position, from the store.
    async fn read_newer(&mut self) {
        let everything = WatchFilter::default();
        self.read_at = None;
        loop {
            let timeline = &self.app.parts.timeline;
            let read = timeline.user_events_after(self.user_id, self.position, &everything, PAGE);
            match read.await {
                Ok(Some(EventsAfter::Page(page))) => {
                    for event in page.events {
                        self.deliver(event).await;
                    }
                    // Events that were deleted meanwhile leave holes.
                    self.position.seq = self.position.seq.max(page.reached);
                    if page.reached >= page.last_seq {
                        return;
                    }
                }
                // Events after the position were pruned: the watchers find that out by their own reads.
                Ok(Some(EventsAfter::Gap(_))) => {
                    self.skip_to_newest().await;
                    return;
                }
                // The account was deleted, which ends its sessions.
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "could not read events for the watchers of a user; trying again");
                    self.read_at = Some(Instant::now() + RETRY_INTERVAL);
                    return;
                }
            }
        }
    }

    async fn skip_to_newest(&mut self) {
        let timeline = &self.app.parts.timeline;
        let everything = WatchFilter::default();
        match timeline.user_snapshot(self.user_id, &everything, 0).await {
            Ok(Some(snapshot)) => self.position = snapshot.cursor,
            Ok(None) => {}
            Err(_) => self.read_at = Some(Instant::now() + RETRY_INTERVAL),
        }
        self.unfinished.clear();
    }

    async fn deliver(&mut self, event: Event) {
        let follows = self.position.seq;
        self.position.seq = event.seq;
        self.track(&event);
        if !self.has_watchers() {
            return;
        }
        let event = self.app.event_with_verified_result(event).await;
        let shared = self.app.shared_event(&event, follows, &self.base);
        self.publish(HubMessage::Event(Arc::new(shared)));
    }

    /// Keeps the list of unfinished jobs.
    fn track(&mut self, event: &Event) {
        let Some(subject) = EstimateSubject::of_event(event) else {
            self.unfinished.remove(&event.job_id);
            if let Some(hub) = self.hub.upgrade() {
                hub.estimates().remove(&event.job_id);
            }
            return;
        };
        let job = self.unfinished.entry(event.job_id).or_insert(WatchedJob {
            subject: subject.clone(),
            photo_id: event.photo_id,
            batch_id: event.batch_id,
            pixels: None,
            sent: None,
        });
        job.subject = subject;
        // The remaining time has changed, too.
        job.sent = None;
    }

    async fn send_changed_estimates(&mut self) {
        self.look_up_pixels().await;
        let jobs: Vec<JobId> = self.unfinished.keys().copied().collect();
        let subjects: Vec<_> = self
            .unfinished
            .values()
            .map(|job| (job.subject.clone(), job.pixels.flatten()))
            .collect();
        let estimates = self.app.recent_estimates(self.user_id, &subjects).await;
        let mut sent = 0;
        for (job_id, estimate) in jobs.into_iter().zip(estimates) {
            let Some(job) = self.unfinished.get_mut(&job_id) else {
                continue;
            };
            let is_known = job
                .sent
                .as_ref()
                .is_some_and(|sent| sent.is_equivalent_to(&estimate));
            if is_known || sent == MAX_ESTIMATES_AT_ONCE {
                continue;
            }
            sent += 1;
            let batch_id = job.batch_id;
            job.sent = Some(estimate.clone());
            self.publish_estimate(job_id, batch_id, estimate);
        }
    }

    fn publish_estimate(
        &mut self,
        job_id: JobId,
        batch_id: Option<BatchId>,
        estimate: EstimateBody,
    ) {
        if let Some(hub) = self.hub.upgrade() {
            hub.send_estimate(job_id, &estimate);
        }
        if self.has_watchers() {
            self.publish(HubMessage::Estimate(Arc::new(SharedEstimate {
                job_id,
                batch_id,
                json: ServerFrame::estimate(job_id, estimate),
            })));
        }
    }

    fn has_watchers(&self) -> bool {
        let hub = self.hub.upgrade();
        hub.is_some_and(|hub| hub.receivers.load(Ordering::Relaxed) > 0)
    }

    async fn look_up_pixels(&mut self) {
        let unknown = self.unfinished.values().filter(|job| job.pixels.is_none());
        let photo_ids: Vec<PhotoId> = unknown.filter_map(|job| job.photo_id).collect();
        if photo_ids.is_empty() {
            return;
        }
        // An estimate without the size of the photo is merely less exact.
        let photos = self.app.parts.photos.photos_by_id(self.user_id, &photo_ids);
        let photos = photos.await.unwrap_or_default();
        let pixels: HashMap<PhotoId, Option<u64>> = photos
            .iter()
            .map(|photo| (photo.id, pixels_of(photo)))
            .collect();
        for job in self.unfinished.values_mut() {
            let known = job
                .photo_id
                .and_then(|id| pixels.get(&id).copied().flatten());
            job.pixels.get_or_insert(known);
        }
    }

    fn publish(&mut self, message: HubMessage) {
        if let Some(hub) = self.hub.upgrade() {
            hub.backlog().push(message);
            hub.advanced.notify_waiters();
            self.backlog_until = Some(Instant::now() + BACKLOG_LIFE);
        }
    }

    fn free_backlog(&self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.backlog().free();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.ended.store(true, Ordering::Release);
            hub.advanced.notify_waiters();
        }
    }
}

impl AppState {
    /// Serialises an event for all watchers.
    pub(crate) fn shared_event(&self, event: &Event, follows: i64, base: &BaseUrl) -> SharedEvent {
        let object = self.event_object(event, base);
        SharedEvent {
            seq: event.seq,
            follows,
            job_id: event.job_id,
            batch_id: event.batch_id,
            kind: event.kind,
            at: event.at,
            // It holds only strings and numbers, which always serialize.
            json: serde_json::to_string(&object).unwrap_or_default(),
        }
    }
}
