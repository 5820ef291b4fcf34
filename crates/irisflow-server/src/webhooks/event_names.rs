//! Names of events in the API of webhooks, as in `job.completed`.

use irisflow_jobs::{EventKind, EventKinds};
use irisflow_messages::text;
use utoipa::ToSchema;

use crate::error::ApiError;

pub(super) const TEST: &str = "webhook.test";

/// A kind of event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what clients may send")]
pub(super) enum EventName {
    #[schema(rename = "job.queued")]
    Queued,
    #[schema(rename = "job.progress")]
    Progress,
    #[schema(rename = "job.retrying")]
    Retrying,
    #[schema(rename = "job.completed")]
    Completed,
    #[schema(rename = "job.failed")]
    Failed,
    #[schema(rename = "job.cancelled")]
    Cancelled,
    #[schema(rename = "job.deleted")]
    Deleted,
}

pub(super) fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Queued => "job.queued",
        EventKind::Progress => "job.progress",
        EventKind::Retrying => "job.retrying",
        EventKind::Completed => "job.completed",
        EventKind::Failed => "job.failed",
        EventKind::Cancelled => "job.cancelled",
        EventKind::Deleted => "job.deleted",
    }
}

/// The kinds that a client named; at least one.
pub(super) fn parse_event_names(names: &[String]) -> Result<EventKinds, ApiError> {
    let kind = |name: &String| {
        let mut kinds = EventKind::ALL.into_iter();
        kinds.find(|&kind| event_name(kind) == name)
    };
    let kinds: Option<EventKinds> = names.iter().map(kind).collect();
    kinds
        .filter(|kinds| !kinds.is_empty())
        .ok_or_else(|| ApiError::invalid_field("events", text!("invalid-webhook-events")))
}
