//! What nodes send each other: subjects below a prefix, and payloads.
//!
//! A payload begins with the id of the sending node and the number of the message (8 bytes each, big endian); JSON
//! follows. Fields and subjects may be added; a message that cannot be decoded counts as lost.

use std::sync::Arc;

use bytes::Bytes;
use irisflow_jobs::{
    BatchId, Event, EventBody, EventKind, Fence, JobId, Notification, PhotoId, SessionId,
    Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

const USER: &str = "user.";
const WORK: &str = "work";
const DELIVERIES: &str = "deliveries";
const CANCEL: &str = "cancel";
const NUMBER: &str = "number";

/// A message between nodes.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Notify(UserId, Notification),
    WorkAvailable,
    DeliveryAvailable,
    CancelAttempt(Fence),
    /// Without content: receivers see by its number whether messages before it were lost.
    Number,
}

/// Who sent a message, as its how many-th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) node: u64,
    pub(crate) number: u64,
}

impl Origin {
    /// Splits a payload into its origin and the JSON.
    pub(crate) fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (node, rest) = payload.split_first_chunk()?;
        let (number, json) = rest.split_first_chunk()?;
        let origin = Self {
            node: u64::from_be_bytes(*node),
            number: u64::from_be_bytes(*number),
        };
        Some((origin, json))
    }
}

impl Message {
    /// What follows the prefix and a dot in the subject.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Notify(user_id, _) => format!("{USER}{user_id}"),
            Self::WorkAvailable => WORK.to_owned(),
            Self::DeliveryAvailable => DELIVERIES.to_owned(),
            Self::CancelAttempt(_) => CANCEL.to_owned(),
            Self::Number => NUMBER.to_owned(),
        }
    }

    pub(crate) fn payload(&self, origin: Origin) -> serde_json::Result<Bytes> {
        let mut payload = Vec::with_capacity(512);
        payload.extend_from_slice(&origin.node.to_be_bytes());
        payload.extend_from_slice(&origin.number.to_be_bytes());
        match self {
            Self::Notify(_, notification) => {
                serde_json::to_writer(&mut payload, &NotificationJson::from(notification))?;
            }
            Self::CancelAttempt(fence) => {
                let fence = FenceJson {
                    job_id: fence.job_id,
                    epoch: fence.epoch,
                };
                serde_json::to_writer(&mut payload, &fence)?;
            }
            Self::WorkAvailable | Self::DeliveryAvailable | Self::Number => {}
        }
        Ok(payload.into())
    }

    /// `None` when it cannot be decoded. `is_wanted`: notifications of other users are not decoded.
    pub(crate) fn decode(
        subject: &str,
        json: &[u8],
        is_wanted: impl FnOnce(UserId) -> bool,
    ) -> Option<Self> {
        if let Some(user) = subject.strip_prefix(USER) {
            let user_id: UserId = user.parse().ok()?;
            if !is_wanted(user_id) {
                return Some(Self::Number);
            }
            let notification = serde_json::from_slice::<NotificationJson>(json);
            // What another version has to say about the user is read from the database.
            let notification = notification.unwrap_or(NotificationJson::TimelineAdvanced);
            return Some(Self::Notify(user_id, notification.of_user(user_id)));
        }
        match subject {
            WORK => Some(Self::WorkAvailable),
            DELIVERIES => Some(Self::DeliveryAvailable),
            CANCEL => {
                let FenceJson { job_id, epoch } = serde_json::from_slice(json).ok()?;
                Some(Self::CancelAttempt(Fence { job_id, epoch }))
            }
            // Unknown subjects are those of a newer version.
            _ => Some(Self::Number),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct FenceJson {
    job_id: JobId,
    epoch: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotificationJson {
    Event(Box<EventJson>),
    TimelineAdvanced,
    SessionEnded(SessionId),
}

#[derive(Serialize, Deserialize)]
struct EventJson {
    seq: i64,
    job_id: JobId,
    photo_id: Option<PhotoId>,
    batch_id: Option<BatchId>,
    previous_of_job: Option<i64>,
    kind: EventKind,
    body: EventBody,
    at_ms: i64,
}

impl From<&Notification> for NotificationJson {
    fn from(notification: &Notification) -> Self {
        match notification {
            Notification::Event(event) => Self::Event(Box::new(EventJson {
                seq: event.seq,
                job_id: event.job_id,
                photo_id: event.photo_id,
                batch_id: event.batch_id,
                previous_of_job: event.previous_of_job,
                kind: event.kind,
                body: event.body.clone(),
                at_ms: event.at.as_millis(),
            })),
            Notification::TimelineAdvanced => Self::TimelineAdvanced,
            Notification::SessionEnded(session_id) => Self::SessionEnded(*session_id),
        }
    }
}

impl NotificationJson {
    fn of_user(self, user_id: UserId) -> Notification {
        match self {
            Self::Event(event) => Notification::Event(Arc::new(Event {
                user_id,
                seq: event.seq,
                job_id: event.job_id,
                photo_id: event.photo_id,
                batch_id: event.batch_id,
                previous_of_job: event.previous_of_job,
                kind: event.kind,
                body: event.body,
                at: Timestamp::from_millis(event.at_ms),
            })),
            Self::TimelineAdvanced => Notification::TimelineAdvanced,
            Self::SessionEnded(session_id) => Notification::SessionEnded(session_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { node: 7, number: 9 };

    fn sent(message: &Message) -> (Origin, Option<Message>) {
        let payload = message.payload(ORIGIN).expect("it is encoded");
        let (origin, json) = Origin::split(&payload).expect("an origin");
        (origin, Message::decode(&message.subject(), json, |_| true))
    }

    #[test]
    fn an_event_arrives_as_it_was_sent() {
        let event = Event {
            user_id: UserId::generate(),
            seq: 41,
            job_id: JobId::generate(),
            photo_id: Some(PhotoId::generate()),
            batch_id: None,
            previous_of_job: Some(39),
            kind: EventKind::Progress,
            body: EventBody {
                status: "processing".to_owned(),
                step: None,
                progress: 40,
                attempt_count: 1,
                failure: None,
                result: None,
                previews: Vec::new(),
            },
            at: Timestamp::from_millis(1_764_000_000_123),
        };
        let notification = Notification::Event(Arc::new(event.clone()));
        let (origin, message) = sent(&Message::Notify(event.user_id, notification));
        assert_eq!(origin, ORIGIN);
        match message {
            Some(Message::Notify(user_id, Notification::Event(arrived))) => {
                assert_eq!(user_id, event.user_id);
                assert_eq!(*arrived, event);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cancelled_attempt_arrives() {
        let fence = Fence {
            job_id: JobId::generate(),
            epoch: 3,
        };
        match sent(&Message::CancelAttempt(fence)) {
            (_, Some(Message::CancelAttempt(arrived))) => assert_eq!(arrived, fence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_newer_version_sends_is_ignored_or_read_from_the_database() {
        let decode = |subject: &str, json: &[u8]| Message::decode(subject, json, |_| true);
        assert!(matches!(decode("news", b""), Some(Message::Number)));
        let about_user = decode(&format!("user.{}", UserId::generate()), br#""moved""#);
        assert!(matches!(
            about_user,
            Some(Message::Notify(_, Notification::TimelineAdvanced))
        ));
        assert!(decode("cancel", b"{}").is_none());
        assert!(Origin::split(b"short").is_none());
    }
}
