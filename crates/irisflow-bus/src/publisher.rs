//! Publishes what this node sends: a bounded queue that never blocks its senders, and a task that numbers the messages
//! and hands them to NATS. What does not fit is dropped; the hole in the numbers shows it to the receivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::Client;
use tokio::sync::{Notify, mpsc, watch};

use crate::wire::{Message, Origin};

/// Messages that wait while NATS is slow or away.
const QUEUE: usize = 16 * 1024;

/// The sending end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Message>,
    lost: Arc<Lost>,
}

/// Messages were dropped since the last number.
#[derive(Debug, Default)]
struct Lost {
    happened: AtomicBool,
    changed: Notify,
}

pub(crate) struct Publisher {
    node: u64,
    last_number: u64,
    subject_prefix: String,
    queue: mpsc::Receiver<Message>,
    lost: Arc<Lost>,
    client: watch::Receiver<Option<Client>>,
}

impl Outbox {
    pub(crate) fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.lost.happened.store(true, Ordering::Release);
            self.lost.changed.notify_one();
        }
    }
}

impl Publisher {
    /// `client` is `None` while there is no connection.
    pub(crate) fn new(
        node: u64,
        subject_prefix: String,
        client: watch::Receiver<Option<Client>>,
    ) -> (Outbox, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::new(Lost::default());
        let outbox = Outbox {
            queue: sender,
            lost: Arc::clone(&lost),
        };
        let publisher = Self {
            node,
            last_number: 0,
            subject_prefix,
            queue,
            lost,
            client,
        };
        (outbox, publisher)
    }

    /// Runs until the bus is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let message = tokio::select! {
                biased;
                message = self.queue.recv() => message,
                () = self.lost.changed.notified() => Some(Message::Number),
            };
            let Some(message) = message else { return };
            if self.publish(&message).await.is_none() {
                return;
            }
        }
    }

    /// `None` once the bus is dropped.
    async fn publish(&mut self, message: &Message) -> Option<()> {
        let client = self.client.wait_for(Option::is_some).await.ok()?.clone()?;
        if self.lost.happened.swap(false, Ordering::AcqRel) {
            self.last_number += 1;
        }
        self.last_number += 1;
        let origin = Origin {
            node: self.node,
            number: self.last_number,
        };
        let subject = format!("{}.{}", self.subject_prefix, message.subject());
        let published = match message.payload(origin) {
            Ok(payload) => client
                .publish(subject, payload)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = published {
            // Its number is missing, which the receivers see at the next message.
            tracing::debug!(error, "a notification was not published");
        }
        Some(())
    }
}
