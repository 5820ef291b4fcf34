//! The bus between processes on core NATS.
//!
//! Each process has one connection and one wildcard subscription, which its bus within the process fans out to all its
//! watchers and workers. What a process publishes reaches its own subscribers directly, also while NATS is away.
//! Nothing is stored in NATS: the database is the truth, and a process that may have missed something reads it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{Bus, Fence, JobId, Notification, Notifier, Subscription, UserId, WorkWakeUp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::local_bus::LocalBus;
use crate::nats_connection::Connection;
use crate::nats_settings::NatsSettings;
use crate::publisher::{Outbox, Publisher};
use crate::wire::Message;

/// How long a start waits for the connection; after that it is made in the background.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);

/// The bus of one process of many.
#[derive(Debug)]
pub struct NatsBus {
    local: Arc<LocalBus>,
    outbox: Outbox,
    is_connected: watch::Receiver<bool>,
    /// They end with the bus.
    _tasks: JoinSet<()>,
}

impl NatsBus {
    /// Connects. A NATS that is away is no error: the connection is made once it is back.
    pub async fn connect(settings: NatsSettings) -> Self {
        let local = Arc::new(LocalBus::new());
        let (client, publisher_client) = watch::channel(None);
        let (connected, is_connected) = watch::channel(false);
        let prefix = settings.subject_prefix.clone();
        let (outbox, publisher) = Publisher::new(rand::random(), prefix, publisher_client);
        let connection = Connection {
            settings,
            local: Arc::clone(&local),
            outbox: outbox.clone(),
            client,
            is_connected: connected,
            was_connected: AtomicBool::new(false),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(publisher.run());
        tasks.spawn(connection.run());
        let mut first = is_connected.clone();
        let wait = first.wait_for(|is_connected| *is_connected);
        if tokio::time::timeout(FIRST_CONNECTION, wait).await.is_err() {
            tracing::warn!("NATS is away; reading the database at intervals until it is there");
        }
        Self {
            local,
            outbox,
            is_connected,
            _tasks: tasks,
        }
    }
}

impl Notifier for NatsBus {
    fn notify(&self, user_id: UserId, notification: Notification) {
        self.local.notify(user_id, notification.clone());
        self.outbox.send(Message::Notify(user_id, notification));
    }

    fn work_available(&self) {
        self.local.work_available();
        self.outbox.send(Message::WorkAvailable);
    }

    fn delivery_available(&self) {
        self.local.delivery_available();
        self.outbox.send(Message::DeliveryAvailable);
    }

    fn cancel_attempt(&self, fence: Fence) {
        self.local.cancel_attempt(fence);
        self.outbox.send(Message::CancelAttempt(fence));
    }
}

/// Subscriptions are those of the bus within the process: the one in NATS exists since the connection was made.
#[async_trait]
impl Bus for NatsBus {
    async fn subscribe_to_user(&self, user_id: UserId) -> Box<dyn Subscription<Notification>> {
        self.local.subscribe_to_user(user_id).await
    }

    async fn subscribe_to_job(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Box<dyn Subscription<Notification>> {
        self.local.subscribe_to_job(user_id, job_id).await
    }

    async fn cancelled_attempts(&self) -> Box<dyn Subscription<Fence>> {
        self.local.cancelled_attempts().await
    }

    fn reread_user(&self, user_id: UserId) {
        self.local.reread_user(user_id);
    }

    fn reread_job(&self, user_id: UserId, job_id: JobId) {
        self.local.reread_job(user_id, job_id);
    }

    fn subscribed_users(&self) -> Vec<UserId> {
        self.local.subscribed_users()
    }

    fn work_wake_up(&self) -> WorkWakeUp<'_> {
        self.local.work_wake_up()
    }

    fn delivery_wake_up(&self) -> WorkWakeUp<'_> {
        self.local.delivery_wake_up()
    }

    fn set_outage(&self, is_on: bool) {
        self.local.set_outage(is_on);
    }

    fn has_outage(&self) -> bool {
        self.local.has_outage()
    }

    async fn outage_over(&self) {
        self.local.outage_over().await;
    }

    fn is_connected(&self) -> bool {
        *self.is_connected.borrow()
    }
}
