//! Keeps the connection to NATS: subscribes, confirms the subscription by a round trip, delivers what arrives to the
//! bus of this process, and has everything read again after anything may have been lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, RequestErrorKind};
use bytes::Bytes;
use futures_util::StreamExt as _;
use irisflow_jobs::{Bus as _, Notifier as _};
use tokio::sync::{mpsc, watch};

use crate::gaps::Gaps;
use crate::local_bus::LocalBus;
use crate::nats_settings::NatsSettings;
use crate::publisher::Outbox;
use crate::wire::{Message, Origin};

/// Before the next attempt after the client has given up, as it does when its credentials are refused.
const PAUSE: Duration = Duration::from_secs(1);
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(2);
const ROUND_TRIP_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Connection {
    pub(crate) settings: NatsSettings,
    pub(crate) local: Arc<LocalBus>,
    pub(crate) outbox: Outbox,
    /// What the publisher uses.
    pub(crate) client: watch::Sender<Option<Client>>,
    pub(crate) is_connected: watch::Sender<bool>,
    /// Whether this process has ever been connected.
    pub(crate) was_connected: AtomicBool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    /// Runs until the bus is dropped.
    pub(crate) async fn run(self) {
        let mut last_error = String::new();
        loop {
            let ended = self.serve().await;
            self.client.send_replace(None);
            self.set_connected(false);
            if let Err(error) = ended {
                let error = error.to_string();
                if error != last_error {
                    tracing::warn!(servers = %self.settings, error, "no connection to NATS; trying again");
                    last_error = error;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns when the client has given up.
    async fn serve(&self) -> Result<(), Error> {
        let (sender, events) = mpsc::unbounded_channel();
        let options = self.settings.options().event_callback(move |event| {
            // An error means that the receiver has ended.
            let _ = sender.send(event);
            std::future::ready(())
        });
        let client = options.connect(self.settings.servers()).await?;
        let prefix = &self.settings.subject_prefix;
        let mut messages = client.subscribe(format!("{prefix}.>")).await?;
        self.client.send_replace(Some(client.clone()));
        let mut gaps = Gaps::default();
        let follow_events = self.follow_events(&client, events);
        tokio::pin!(follow_events);
        loop {
            tokio::select! {
                () = &mut follow_events => return Ok(()),
                message = messages.next() => match message {
                    Some(message) => self.deliver(&mut gaps, &message),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn follow_events(&self, client: &Client, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Connected => self.confirm(client).await,
                Event::Disconnected => self.set_connected(false),
                Event::SlowConsumer(_) => {
                    tracing::warn!(
                        "this process is too slow for its notifications; reading the database instead"
                    );
                    self.everything_missed();
                }
                Event::ServerError(error) => tracing::warn!(%error, "NATS refused something"),
                Event::Closed => return,
                Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {
                    tracing::debug!(%event, "NATS");
                }
            }
        }
    }

    /// After a connection was made, with the subscription in it.
    async fn confirm(&self, client: &Client) {
        while client.connection_state() == State::Connected {
            if self.round_trip(client).await {
                if self.was_connected.swap(true, Ordering::Relaxed) {
                    // Shows to the others what the broken connection lost.
                    self.outbox.send(Message::Number);
                }
                self.everything_missed();
                self.set_connected(true);
                return;
            }
            tokio::time::sleep(ROUND_TRIP_PAUSE).await;
        }
    }

    /// Afterwards the server has carried out what was sent before, such as a subscription: it answers the commands of a
    /// connection in order. `flush` of the client does not wait for an answer.
    async fn round_trip(&self, client: &Client) -> bool {
        // The prefix without a dot: our own subscription must not answer.
        let subject = format!("{}-round-trip", self.settings.subject_prefix);
        let request = client.request(subject, Bytes::new());
        match tokio::time::timeout(ROUND_TRIP_LIMIT, request).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.kind() == RequestErrorKind::NoResponders,
            Err(_) => false,
        }
    }

    fn deliver(&self, gaps: &mut Gaps, message: &async_nats::Message) {
        let subject = message
            .subject
            .strip_prefix(self.settings.subject_prefix.as_str());
        let subject = subject.and_then(|subject| subject.strip_prefix('.'));
        let (Some(subject), Some((origin, json))) = (subject, Origin::split(&message.payload))
        else {
            return;
        };
        if gaps.is_after_gap(origin.node, origin.number) {
            self.everything_missed();
        }
        match Message::decode(subject, json, |user_id| self.local.has_subscribers(user_id)) {
            Some(Message::Notify(user_id, notification)) => {
                self.local.notify(user_id, notification);
            }
            Some(Message::WorkAvailable) => self.local.work_available(),
            Some(Message::DeliveryAvailable) => self.local.delivery_available(),
            Some(Message::CancelAttempt(fence)) => self.local.cancel_attempt(fence),
            Some(Message::Number) => {}
            None => self.everything_missed(),
        }
    }

    /// All that wait for notifications look at the database.
    fn everything_missed(&self) {
        for user_id in self.local.subscribed_users() {
            self.local.reread_user(user_id);
        }
        self.local.cancellations_missed();
        self.local.wake_all_waiting();
    }

    fn set_connected(&self, is_connected: bool) {
        if self.is_connected.send_replace(is_connected) == is_connected {
            return;
        }
        let servers = &self.settings;
        match is_connected {
            true => tracing::info!(%servers, "connected to NATS"),
            false => {
                tracing::warn!(%servers, "NATS is away; reading the database at intervals instead");
            }
        }
    }
}
