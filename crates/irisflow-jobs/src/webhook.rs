//! Webhooks: the endpoints that users register, the deliveries of events to them, and when a failed delivery is
//! repeated. Requests are made elsewhere; nothing here depends on HTTP but the status in the log.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::id::{DeliveryId, UserId, WebhookId};

/// An endpoint of a user, to which the events of their jobs are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub user_id: UserId,
    pub url: String,
    pub description: String,
    /// The events that are delivered.
    pub kinds: EventKinds,
    pub secret: SealedSecret,
    /// The secret before the last rotation, while it is still valid.
    pub previous_secret: Option<PreviousSecret>,
    pub state: WebhookState,
    /// Since when every attempt has failed.
    pub first_failure_at: Option<Timestamp>,
    /// Deliveries that wait for their first or next attempt.
    pub pending: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The encrypted signing secret of a webhook. Only the server has the key. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    pub secret: SealedSecret,
    pub valid_until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    Enabled,
    /// Events are not recorded for it, and its pending deliveries have ended as dead letters.
    Disabled(DisabledReason),
}

impl WebhookState {
    pub fn is_enabled(self) -> bool {
        self == Self::Enabled
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// By its user.
    Owner,
    /// The endpoint answered `410 Gone`.
    EndpointGone,
    /// Every attempt failed for a long time.
    Failing,
    /// Too many deliveries were pending.
    BacklogFull,
}

impl DisabledReason {
    const ALL: [Self; 4] = [
        Self::Owner,
        Self::EndpointGone,
        Self::Failing,
        Self::BacklogFull,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::EndpointGone => "endpoint_gone",
            Self::Failing => "failing",
            Self::BacklogFull => "backlog_full",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// A set of kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventKinds(u8);

impl EventKinds {
    /// The ends of jobs.
    pub fn final_ones() -> Self {
        EventKind::ALL
            .into_iter()
            .filter(|kind| kind.is_final())
            .collect()
    }

    /// One bit for each kind, stable in databases.
    pub fn bits(self) -> u8 {
        self.0
    }

    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & bit(kind) != 0
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL
            .into_iter()
            .filter(move |&kind| self.contains(kind))
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | bit(kind)))
    }
}

fn bit(kind: EventKind) -> u8 {
    match kind {
        EventKind::Queued => 1,
        EventKind::Progress => 2,
        EventKind::Retrying => 4,
        EventKind::Completed => 8,
        EventKind::Failed => 16,
        EventKind::Cancelled => 32,
        EventKind::Deleted => 64,
    }
}

#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub id: WebhookId,
    pub user_id: UserId,
    pub url: String,
    pub description: String,
    pub kinds: EventKinds,
    pub secret: SealedSecret,
}

/// What the user changes of a webhook; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    pub url: Option<String>,
    pub description: Option<String>,
    pub kinds: Option<EventKinds>,
    /// Enabling also forgets past failures.
    pub enabled: Option<bool>,
}

/// One message to one webhook. Its id stays the same in all attempts, also when it is redelivered.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookDelivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub message: DeliveryMessage,
    pub state: DeliveryState,
    /// Attempts since it was queued or redelivered.
    pub attempt_count: u32,
    /// The newest attempts, oldest first: at most [`MOST_LOGGED_ATTEMPTS`].
    pub attempts: Vec<DeliveryAttempt>,
    pub created_at: Timestamp,
}

/// Attempts of one delivery that are kept in its log.
pub const MOST_LOGGED_ATTEMPTS: usize = 10;

#[derive(Debug, Clone, PartialEq)]
pub enum DeliveryMessage {
    Event(Box<Event>),
    /// Sent on request, to try the endpoint.
    Test,
    /// The event was delivered, and its job is deleted: nothing of the job is kept.
    Erased(EventKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Its next attempt is due, or under way until then.
    Pending {
        due_at: Timestamp,
    },
    Delivered,
    /// A dead letter: no attempt follows unless it is redelivered.
    Dead(DeadReason),
}

impl DeliveryState {
    pub fn status(self) -> DeliveryStatus {
        match self {
            Self::Pending { .. } => DeliveryStatus::Pending,
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Dead(_) => DeliveryStatus::Dead,
        }
    }
}

/// A [`DeliveryState`] without its details, as clients filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    Dead,
}

impl DeliveryStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = [Self::Pending, Self::Delivered, Self::Dead].into_iter();
        all.find(|status| status.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    /// It failed for as long as deliveries are repeated.
    RetriesExhausted,
    EndpointGone,
    /// The webhook was disabled while it was pending.
    WebhookDisabled,
}

impl DeadReason {
    const ALL: [Self; 3] = [
        Self::RetriesExhausted,
        Self::EndpointGone,
        Self::WebhookDisabled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries_exhausted",
            Self::EndpointGone => "endpoint_gone",
            Self::WebhookDisabled => "webhook_disabled",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// One request to the endpoint, as logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// When it began, in milliseconds since the epoch.
    pub at_ms: i64,
    pub duration_ms: u64,
    /// The HTTP status, when there was a response.
    pub status: Option<u16>,
    /// `None` when it succeeded.
    pub error: Option<AttemptError>,
    /// The beginning of the response body, without secrets.
    pub response_excerpt: Option<String>,
    /// Where a redirect led to. Redirects are not followed.
    pub redirect_host: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptError {
    /// The host has no address.
    Dns,
    /// The address belongs to a private or otherwise internal network.
    AddressNotAllowed,
    /// No connection could be made.
    Connect,
    /// The connection was closed before the response was complete, or the response was not HTTP.
    InvalidResponse,
    Timeout,
    Redirect,
    /// A status other than 2xx.
    Status,
    /// The URL or the signing secret cannot be used.
    Configuration,
}

impl AttemptError {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::Connect => "connect",
            Self::InvalidResponse => "invalid_response",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Configuration => "configuration",
        }
    }
}

/// The right to record an attempt. A later claim of the same delivery invalidates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryClaim {
    pub delivery_id: DeliveryId,
    /// Grows by one at each claim: a fencing token.
    pub number: i64,
}

/// A delivery that this node attempts now.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedDelivery {
    pub claim: DeliveryClaim,
    pub delivery: WebhookDelivery,
    pub webhook: Webhook,
    /// Time since it was queued or redelivered.
    pub age: Duration,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    Delivered,
    RetryAfter(Duration),
    /// No retry is left.
    GiveUp,
    /// `410 Gone`: the webhook is disabled.
    EndpointGone,
}

/// When deliveries are repeated, and when endpoints are disabled.
#[derive(Debug, Clone, Copy)]
pub struct WebhookPolicy {
    /// A delivery is repeated for this long.
    pub retry_for: Duration,
    /// The first retry waits up to this long, each further one up to twice as long.
    pub backoff_base: Duration,
    /// A webhook whose attempts have all failed for this long is disabled.
    pub disable_after: Duration,
}

impl Default for WebhookPolicy {
    fn default() -> Self {
        Self {
            retry_for: Duration::from_secs(24 * 60 * 60),
            backoff_base: Duration::from_secs(5),
            disable_after: Duration::from_secs(3 * 24 * 60 * 60),
        }
    }
}

/// No retry waits longer than this.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(60 * 60);
const GONE: u16 = 410;

impl WebhookPolicy {
    /// The outcome of an attempt after `earlier` failed ones of a delivery of this age. Exponential backoff with full
    /// jitter (`jitter` from 0 to 1), as for jobs; an endpoint may ask for a longer wait (`Retry-After`). The last
    /// retry is made at the end of `retry_for`.
    pub fn outcome(
        &self,
        attempt: &DeliveryAttempt,
        earlier: u32,
        age: Duration,
        requested_wait: Option<Duration>,
        jitter: f64,
    ) -> AttemptOutcome {
        if attempt.error.is_none() {
            return AttemptOutcome::Delivered;
        }
        if attempt.status == Some(GONE) {
            return AttemptOutcome::EndpointGone;
        }
        let left = self.retry_for.saturating_sub(age);
        if left.is_zero() {
            return AttemptOutcome::GiveUp;
        }
        let factor = 2_u32.saturating_pow(earlier.min(31));
        let longest = self.backoff_base.saturating_mul(factor).min(MAX_RETRY_WAIT);
        let requested = requested_wait.unwrap_or_default().min(MAX_RETRY_WAIT);
        let wait = longest.mul_f64(jitter.clamp(0.0, 1.0)).max(requested);
        AttemptOutcome::RetryAfter(wait.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: Option<u16>) -> DeliveryAttempt {
        DeliveryAttempt {
            at_ms: 0,
            duration_ms: 1,
            status,
            error: Some(AttemptError::Status),
            response_excerpt: None,
            redirect_host: None,
        }
    }

    #[test]
    fn a_failing_delivery_is_repeated_with_growing_waits_for_a_day_and_a_last_time_at_its_end() {
        let policy = WebhookPolicy::default();
        let (mut age, mut waits) = (Duration::ZERO, Vec::new());
        while let AttemptOutcome::RetryAfter(wait) = policy.outcome(
            &failed(Some(500)),
            u32::try_from(waits.len()).expect("few"),
            age,
            None,
            1.0,
        ) {
            age += wait;
            waits.push(wait.as_secs());
        }
        assert_eq!(waits[..5], [5, 10, 20, 40, 80]);
        assert!(waits.iter().all(|&wait| wait <= 3600), "{waits:?}");
        assert_eq!(age, policy.retry_for);
        assert_eq!(waits.len(), 33);
    }

    #[test]
    fn jitter_covers_the_whole_wait_and_a_requested_wait_is_kept_up_to_the_cap() {
        let policy = WebhookPolicy::default();
        let wait = |requested: Option<u64>, jitter| {
            let requested = requested.map(Duration::from_secs);
            policy.outcome(&failed(Some(503)), 3, Duration::ZERO, requested, jitter)
        };
        let secs = |secs| AttemptOutcome::RetryAfter(Duration::from_secs(secs));
        assert_eq!(wait(None, 0.25), secs(10));
        assert_eq!(wait(Some(120), 0.25), secs(120));
        assert_eq!(wait(Some(1_000_000), 0.25), secs(3600));
    }

    #[test]
    fn gone_ends_it_and_success_needs_no_retry() {
        let policy = WebhookPolicy::default();
        let outcome = |attempt| policy.outcome(&attempt, 0, Duration::ZERO, None, 1.0);
        assert_eq!(outcome(failed(Some(410))), AttemptOutcome::EndpointGone);
        let delivered = DeliveryAttempt {
            error: None,
            ..failed(Some(204))
        };
        assert_eq!(outcome(delivered), AttemptOutcome::Delivered);
    }

    #[test]
    fn each_kind_of_event_has_a_bit_of_its_own() {
        for kind in EventKind::ALL {
            let only = EventKinds::from_iter([kind]);
            assert_eq!(only.bits().count_ones(), 1);
            assert_eq!(only.iter().collect::<Vec<_>>(), [kind]);
        }
        let all: EventKinds = EventKind::ALL.into_iter().collect();
        assert_eq!(all.bits().count_ones(), 7);
        assert_eq!(EventKinds::final_ones().iter().count(), 4);
    }
}
