//! The JSON body of a delivery: `{"type", "timestamp", "data"}`, where `data` is the event as in the frames of the
//! multiplexed transports. URLs are signed anew for each attempt.

use axum::http::HeaderMap;
use irisflow_jobs::{ClaimedDelivery, DeliveryMessage, WebhookId};
use serde::Serialize;

use super::event_names::{TEST, event_name};
use crate::app::AppState;

#[derive(Serialize)]
struct Message<D> {
    #[serde(rename = "type")]
    event: &'static str,
    /// When the event happened (RFC 3339, UTC).
    timestamp: String,
    data: D,
}

#[derive(Serialize)]
struct TestData {
    webhook_id: WebhookId,
}

impl AppState {
    /// `None` when there is nothing left to send.
    pub(super) fn delivery_message(&self, claimed: &ClaimedDelivery) -> Option<String> {
        let json = match &claimed.delivery.message {
            DeliveryMessage::Event(event) => {
                let base = self.public_url.base(&HeaderMap::new());
                serde_json::to_string(&Message {
                    event: event_name(event.kind),
                    timestamp: event.at.to_rfc3339(),
                    data: self.event_object(event, &base),
                })
            }
            DeliveryMessage::Test => serde_json::to_string(&Message {
                event: TEST,
                timestamp: claimed.delivery.created_at.to_rfc3339(),
                data: TestData {
                    webhook_id: claimed.webhook.id,
                },
            }),
            DeliveryMessage::Erased(_) => return None,
        };
        json.ok()
    }
}
