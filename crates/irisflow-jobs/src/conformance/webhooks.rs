//! Webhooks: what is recorded with an event, and what becomes of a delivery.

use std::time::Duration;

use super::store_under_test::{quality_issue, storage_unavailable};
use super::{SLACK, StoreUnderTest};
use crate::{
    AttemptError, AttemptOutcome, Checkpoint, ClaimedDelivery, DeadReason, DeliveryAttempt,
    DeliveryMessage, DeliveryState, DeliveryStatus, DisabledReason, EventKind, EventKinds, Job,
    MOST_LOGGED_ATTEMPTS, NewWebhook, PageRequest, Redelivery, SealedSecret, UserId, Webhook,
    WebhookChange, WebhookDelivery, WebhookId, WebhookState,
};

const LEASE: Duration = Duration::from_secs(10 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn an_event_is_recorded_for_each_webhook_that_wants_it(store: StoreUnderTest) {
    let user_id = store.user().await;
    let ends = add(&store, user_id, EventKinds::final_ones()).await;
    let progress = add(
        &store,
        user_id,
        EventKinds::from_iter([EventKind::Progress]),
    )
    .await;
    let stranger = store.user().await;
    let foreign = add(&store, stranger, all_kinds()).await;

    let job = run_job(&store, user_id).await;

    let end = deliveries(&store, &ends).await;
    let [end] = end.as_slice() else {
        unreachable!("one event ends a job: {end:?}");
    };
    let mut event = store.events(&job).await.pop().expect("the last event");
    event.previous_of_job = None;
    assert_eq!(end.message, DeliveryMessage::Event(Box::new(event)));
    assert_eq!(deliveries(&store, &progress).await.len(), 2);
    assert_eq!(deliveries(&store, &foreign).await, []);
}

pub async fn a_user_without_webhooks_records_and_announces_no_delivery(store: StoreUnderTest) {
    let user_id = store.user().await;
    let removed = add(&store, user_id, all_kinds()).await;
    let deleted = store.webhooks.delete_webhook(user_id, removed.id).await;
    assert!(deleted.expect("the store works"));

    run_job(&store, user_id).await;

    assert_eq!(store.notifications.delivery_notifications(), 0);
    assert_eq!(claim(&store, 10).await, []);
}

pub async fn a_refused_write_records_no_delivery(store: StoreUnderTest) {
    let user_id = store.user().await;
    let webhook = add(&store, user_id, all_kinds()).await;
    store.queue(user_id).await;
    let job = store.claim().await;
    store.hand_back(&job).await;

    let refused = store
        .job_leases
        .fail_attempt(super::store_under_test::fence(&job), quality_issue())
        .await;

    assert_eq!(
        refused.expect("the store works"),
        crate::WriteOutcome::Fenced
    );
    let kinds = kinds_of(&deliveries(&store, &webhook).await);
    assert_eq!(kinds, [Some(EventKind::Queued)]);
}

pub async fn a_changed_filter_and_a_disabled_webhook_count_for_later_events(store: StoreUnderTest) {
    let user_id = store.user().await;
    let webhook = add(&store, user_id, EventKinds::final_ones()).await;
    let queued = WebhookChange {
        kinds: Some(EventKinds::from_iter([EventKind::Queued])),
        ..WebhookChange::default()
    };
    change(&store, &webhook, queued).await;
    run_job(&store, user_id).await;
    let before = kinds_of(&deliveries(&store, &webhook).await);

    change(&store, &webhook, enabled(false)).await;
    run_job(&store, user_id).await;
    let while_disabled = deliveries(&store, &webhook).await.len();
    let again = change(&store, &webhook, enabled(true)).await;
    run_job(&store, user_id).await;

    assert_eq!(before, [Some(EventKind::Queued)]);
    assert_eq!(while_disabled, 1);
    assert_eq!(again.state, WebhookState::Enabled);
    assert_eq!(deliveries(&store, &webhook).await.len(), 2);
}

pub async fn disabling_ends_pending_deliveries_as_dead_letters(store: StoreUnderTest) {
    let (webhook, _) = one_due(&store).await;

    let disabled = change(&store, &webhook, enabled(false)).await;

    assert_eq!(
        disabled.state,
        WebhookState::Disabled(DisabledReason::Owner)
    );
    assert_eq!(disabled.pending, 0);
    let [delivery] = &deliveries(&store, &webhook).await[..] else {
        unreachable!("there is one");
    };
    let dead = DeliveryState::Dead(DeadReason::WebhookDisabled);
    assert_eq!(delivery.state, dead);
    assert_eq!(claim(&store, 10).await, []);
}

pub async fn webhooks_are_listed_to_their_user_only_and_limited(store: StoreUnderTest) {
    let (user_id, stranger) = (store.user().await, store.user().await);
    let first = add(&store, user_id, all_kinds()).await;
    store.tick().await;
    let second = add(&store, user_id, all_kinds()).await;

    let beyond = store.webhooks.add_webhook(new(user_id, all_kinds()), 2);
    assert_eq!(beyond.await.expect("the store works"), None);
    let listed = store.webhooks.webhooks(user_id).await;
    let listed: Vec<_> = listed
        .expect("the store works")
        .iter()
        .map(|w| w.id)
        .collect();
    assert_eq!(listed, [first.id, second.id]);
    assert_eq!(
        store.webhooks.webhooks(stranger).await.expect("it works"),
        []
    );
    let foreign = store.webhooks.webhook(stranger, first.id).await;
    assert_eq!(foreign.expect("the store works"), None);
    let changed = store
        .webhooks
        .change_webhook(stranger, first.id, enabled(false));
    assert_eq!(changed.await.expect("the store works"), None);
    let deleted = store.webhooks.delete_webhook(stranger, first.id).await;
    assert!(!deleted.expect("the store works"));
    let tested = store.webhooks.add_test_delivery(stranger, first.id).await;
    assert_eq!(tested.expect("the store works"), None);
}

pub async fn a_rotated_secret_leaves_the_previous_one_valid_for_the_overlap(store: StoreUnderTest) {
    let user_id = store.user().await;
    let webhook = add(&store, user_id, all_kinds()).await;
    let rotate = async |secret: &[u8]| {
        let secret = SealedSecret(secret.to_vec());
        let rotated = store
            .webhooks
            .rotate_secret(user_id, webhook.id, secret, DAY);
        let rotated = rotated.await.expect("the store works");
        rotated.expect("it is there")
    };

    rotate(b"second").await;
    let rotated = rotate(b"third").await;
    store.advance(DAY - SLACK).await;
    let during = read(&store, &webhook).await;
    store.advance(SLACK).await;
    let after = read(&store, &webhook).await;

    let previous = |webhook: &Webhook| webhook.previous_secret.clone().map(|p| p.secret.0);
    assert_eq!(rotated.secret.0, b"third");
    assert_eq!(previous(&rotated).as_deref(), Some(&b"second"[..]));
    assert_eq!(previous(&during).as_deref(), Some(&b"second"[..]));
    assert_eq!(previous(&after), None);
    assert_eq!(after.secret.0, b"third");
}

pub async fn a_claimed_delivery_is_given_to_no_other_node_until_its_claim_has_expired(
    store: StoreUnderTest,
) {
    let (_, first) = one_due(&store).await;
    let other_node = store.open_node().await;
    let by_other = async || {
        let claimed = other_node.claim_deliveries(10, 10, &[], LEASE).await;
        claimed.expect("the store works")
    };

    let before = by_other().await;
    store.advance(LEASE - SLACK).await;
    let too_early = by_other().await;
    store.advance(SLACK).await;
    let after = by_other().await;
    let late = record(&store, &first, AttemptOutcome::Delivered).await;

    assert_eq!([before.len(), too_early.len(), after.len()], [0, 0, 1]);
    assert_eq!(after[0].claim.delivery_id, first.claim.delivery_id);
    assert!(
        !late,
        "an expired claim records nothing once there is another"
    );
    assert!(record(&store, &after[0], AttemptOutcome::Delivered).await);
}

pub async fn deliveries_are_claimed_from_the_webhooks_in_turn_and_a_few_of_each(
    store: StoreUnderTest,
) {
    let (one, other) = (store.user().await, store.user().await);
    let busy = add(&store, one, EventKinds::from_iter([EventKind::Queued])).await;
    let quiet = add(&store, other, EventKinds::from_iter([EventKind::Queued])).await;
    for _ in 0..5 {
        store.queue(one).await;
    }
    store.tick().await;
    store.queue(other).await;

    let claim = async |in_flight: &[(WebhookId, u32)]| {
        let claimed = store.webhooks.claim_deliveries(10, 2, in_flight, LEASE);
        let claimed = claimed.await.expect("the store works");
        let of = |webhook: &Webhook| {
            let claimed = claimed.iter();
            claimed.filter(|c| c.webhook.id == webhook.id).count()
        };
        (of(&busy), of(&quiet))
    };

    assert_eq!(claim(&[]).await, (2, 1));
    assert_eq!(claim(&[(busy.id, 2), (quiet.id, 1)]).await, (0, 0));
    assert_eq!(claim(&[(busy.id, 1)]).await, (1, 0));
}

pub async fn deliveries_of_a_disabled_account_wait(store: StoreUnderTest) {
    let user_id = store.user().await;
    add(&store, user_id, all_kinds()).await;
    store.queue(user_id).await;

    let disabled = store.accounts.disable(user_id).await;
    disabled.expect("the store works");
    let meanwhile = claim(&store, 10).await.len();
    let enabled = store.accounts.enable(user_id).await;
    enabled.expect("the store works");

    assert_eq!((meanwhile, claim(&store, 10).await.len()), (0, 1));
}

pub async fn a_failed_attempt_is_logged_and_repeated_after_its_wait(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;

    record(&store, &claimed, AttemptOutcome::RetryAfter(DAY)).await;
    store.advance(DAY - SLACK).await;
    let too_early = claim(&store, 10).await;
    store.advance(SLACK).await;
    let again = claim(&store, 10).await;

    assert_eq!(too_early, []);
    let [again] = again.as_slice() else {
        unreachable!("it is due again: {again:?}");
    };
    assert_eq!(again.claim.delivery_id, claimed.claim.delivery_id);
    assert_eq!(again.delivery.attempt_count, 1);
    assert_eq!(again.delivery.attempts, [failed_attempt()]);
    assert!(again.age >= DAY, "{:?}", again.age);
    assert!(read(&store, &webhook).await.first_failure_at.is_some());
}

pub async fn the_log_keeps_the_newest_attempts(store: StoreUnderTest) {
    let (webhook, mut claimed) = one_due(&store).await;
    for _ in 0..=MOST_LOGGED_ATTEMPTS {
        record(&store, &claimed, AttemptOutcome::RetryAfter(Duration::ZERO)).await;
        claimed = claim(&store, 1).await.pop().expect("it is due");
    }

    let logged = deliveries(&store, &webhook).await;

    assert_eq!(logged[0].attempts.len(), MOST_LOGGED_ATTEMPTS);
    let count = u32::try_from(MOST_LOGGED_ATTEMPTS).expect("few") + 1;
    assert_eq!(logged[0].attempt_count, count);
}

pub async fn a_delivered_message_is_not_claimed_again(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;
    record(&store, &claimed, AttemptOutcome::Delivered).await;
    store.advance(LEASE + SLACK).await;

    assert_eq!(claim(&store, 10).await, []);
    let delivered = deliveries(&store, &webhook).await;
    assert_eq!(delivered[0].state, DeliveryState::Delivered);
    let webhook = read(&store, &webhook).await;
    assert_eq!((webhook.pending, webhook.first_failure_at), (0, None));
}

pub async fn a_delivery_that_is_given_up_is_a_dead_letter_until_it_is_redelivered(
    store: StoreUnderTest,
) {
    let (webhook, claimed) = one_due(&store).await;
    record(&store, &claimed, AttemptOutcome::GiveUp).await;
    let dead = listed(&store, &webhook, Some(DeliveryStatus::Dead)).await;
    let pending = listed(&store, &webhook, Some(DeliveryStatus::Pending)).await;
    store.advance(DAY).await;

    let redelivered = redeliver(&store, &webhook, &dead[0]).await;

    let given_up = DeliveryState::Dead(DeadReason::RetriesExhausted);
    assert_eq!((dead[0].state, pending.len()), (given_up, 0));
    assert!(
        matches!(redelivered, Redelivery::Queued(_)),
        "{redelivered:?}"
    );
    let again = claim(&store, 10).await.pop().expect("it is due");
    assert_eq!(
        again.claim.delivery_id, claimed.claim.delivery_id,
        "same id"
    );
    assert_eq!(again.delivery.attempt_count, 0);
    assert!(again.age < SLACK, "it is repeated for as long as a new one");
}

pub async fn redelivering_needs_an_enabled_webhook_and_content(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;
    change(&store, &webhook, enabled(false)).await;

    let disabled = redeliver(&store, &webhook, &claimed.delivery).await;
    let foreign = store
        .webhooks
        .redeliver(store.user().await, webhook.id, claimed.delivery.id);
    let unknown = crate::DeliveryId::generate();
    let unknown = store
        .webhooks
        .redeliver(webhook.user_id, webhook.id, unknown);

    assert_eq!(disabled, Redelivery::Disabled);
    let not_found = Redelivery::NotFound;
    assert_eq!(foreign.await.expect("the store works"), not_found);
    assert_eq!(unknown.await.expect("the store works"), not_found);
}

pub async fn an_endpoint_that_is_gone_disables_its_webhook(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;
    record(&store, &claimed, AttemptOutcome::EndpointGone).await;

    let gone = WebhookState::Disabled(DisabledReason::EndpointGone);
    assert_eq!(read(&store, &webhook).await.state, gone);
    let dead = DeliveryState::Dead(DeadReason::EndpointGone);
    assert_eq!(deliveries(&store, &webhook).await[0].state, dead);
}

pub async fn a_webhook_that_fails_for_long_is_disabled_and_a_success_in_between_prevents_it(
    store: StoreUnderTest,
) {
    let (webhook, claimed) = one_due(&store).await;
    let retry = AttemptOutcome::RetryAfter(Duration::ZERO);
    record(&store, &claimed, retry).await;
    store.advance(3 * DAY).await;
    let next = claim(&store, 1).await.pop().expect("it is due");
    record(&store, &next, AttemptOutcome::Delivered).await;

    store.queue(webhook.user_id).await;
    let next = claim(&store, 1).await.pop().expect("another is due");
    record(&store, &next, retry).await;
    let state = read(&store, &webhook).await.state;
    store.advance(3 * DAY).await;
    let next = claim(&store, 1).await.pop().expect("it is due again");
    record(&store, &next, retry).await;

    assert_eq!(state, WebhookState::Enabled, "it worked in between");
    let failing = WebhookState::Disabled(DisabledReason::Failing);
    assert_eq!(read(&store, &webhook).await.state, failing);
}

pub async fn a_deleted_jobs_deliveries_go_and_only_its_deletion_is_told(store: StoreUnderTest) {
    let user_id = store.user().await;
    let webhook = add(&store, user_id, all_kinds()).await;
    let job = run_job(&store, user_id).await;
    store.delete(&job).await;

    let left = kinds_of(&deliveries(&store, &webhook).await);
    let claimed = claim(&store, 1).await.pop().expect("it is due");
    record(&store, &claimed, AttemptOutcome::Delivered).await;
    let told = deliveries(&store, &webhook).await;

    assert_eq!(left, [Some(EventKind::Deleted)]);
    assert_eq!(told[0].attempts[0].response_excerpt, None);
    assert_eq!(told[0].message, DeliveryMessage::Erased(EventKind::Deleted));
    let again = redeliver(&store, &webhook, &told[0]).await;
    assert_eq!(again, Redelivery::Erased);
}

pub async fn a_test_message_is_queued_and_announced(store: StoreUnderTest) {
    let user_id = store.user().await;
    let webhook = add(&store, user_id, EventKinds::final_ones()).await;
    let queued = store.webhooks.add_test_delivery(user_id, webhook.id).await;
    let queued = queued.expect("the store works").expect("it is queued");

    let claimed = claim(&store, 10).await.pop().expect("it is due");

    assert_eq!(claimed.claim.delivery_id, queued.id);
    assert_eq!(claimed.delivery.message, DeliveryMessage::Test);
    assert_eq!(store.notifications.delivery_notifications(), 1);
}

pub async fn old_deliveries_are_pruned_and_pending_ones_stay(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;
    record(&store, &claimed, AttemptOutcome::Delivered).await;
    store.queue(webhook.user_id).await;
    let prune = async || {
        let before = store.now().await - DAY;
        let pruned = store.webhooks.prune_deliveries(before, 100).await;
        pruned.expect("the store works")
    };

    let young = prune().await;
    store.advance(DAY + SLACK).await;
    let old = prune().await;

    assert_eq!((young, old), (0, 1));
    let left = listed(&store, &webhook, None).await;
    assert_eq!(left.len(), 1);
    assert!(matches!(left[0].state, DeliveryState::Pending { .. }));
}

pub async fn webhooks_and_deliveries_go_with_their_account(store: StoreUnderTest) {
    let (webhook, claimed) = one_due(&store).await;
    let deleted = store.privacy.delete_account(webhook.user_id).await;
    deleted.expect("the store works").expect("it is deleted");

    assert!(!record(&store, &claimed, AttemptOutcome::Delivered).await);
    let webhooks = store.webhooks.webhooks(webhook.user_id).await;
    assert_eq!(webhooks.expect("the store works"), []);
    store.advance(LEASE).await;
    assert_eq!(claim(&store, 10).await, []);
}

/// A webhook for queued jobs and deletions, and the claim of its only delivery.
async fn one_due(store: &StoreUnderTest) -> (Webhook, ClaimedDelivery) {
    let user_id = store.user().await;
    let kinds = EventKinds::from_iter([EventKind::Queued, EventKind::Deleted]);
    let webhook = add(store, user_id, kinds).await;
    store.queue(user_id).await;
    let claimed = claim(store, 10).await.pop().expect("it is due");
    (webhook, claimed)
}

/// A job that fails in its second attempt: queued, one checkpoint, a retry, another checkpoint, failed.
async fn run_job(store: &StoreUnderTest, user_id: UserId) -> Job {
    store.queue(user_id).await;
    let job = store.claim().await;
    store.reach(&job, &[Checkpoint::LoadingBegun]).await;
    store.fail(&job, storage_unavailable()).await;
    store.advance(store.policy.backoff_cap).await;
    let job = store.claim().await;
    store.reach(&job, &[Checkpoint::LoadingDone]).await;
    store.fail(&job, quality_issue()).await
}

fn all_kinds() -> EventKinds {
    EventKind::ALL.into_iter().collect()
}

fn new(user_id: UserId, kinds: EventKinds) -> NewWebhook {
    NewWebhook {
        id: WebhookId::generate(),
        user_id,
        url: "https://receiver.example/hook".to_owned(),
        description: String::new(),
        kinds,
        secret: SealedSecret(b"first".to_vec()),
    }
}

async fn add(store: &StoreUnderTest, user_id: UserId, kinds: EventKinds) -> Webhook {
    let added = store.webhooks.add_webhook(new(user_id, kinds), 100).await;
    added.expect("the store works").expect("there are few")
}

fn enabled(enabled: bool) -> WebhookChange {
    WebhookChange {
        enabled: Some(enabled),
        ..WebhookChange::default()
    }
}

async fn change(store: &StoreUnderTest, webhook: &Webhook, change: WebhookChange) -> Webhook {
    let changed = store
        .webhooks
        .change_webhook(webhook.user_id, webhook.id, change);
    changed
        .await
        .expect("the store works")
        .expect("it is there")
}

async fn read(store: &StoreUnderTest, webhook: &Webhook) -> Webhook {
    let read = store.webhooks.webhook(webhook.user_id, webhook.id).await;
    read.expect("the store works").expect("it is there")
}

async fn deliveries(store: &StoreUnderTest, webhook: &Webhook) -> Vec<WebhookDelivery> {
    listed(store, webhook, None).await
}

/// Newest first.
async fn listed(
    store: &StoreUnderTest,
    webhook: &Webhook,
    status: Option<DeliveryStatus>,
) -> Vec<WebhookDelivery> {
    let page = PageRequest {
        page: 1,
        page_size: 100,
    };
    let read = store
        .webhooks
        .deliveries(webhook.user_id, webhook.id, status, page);
    let read = read.await.expect("the store works").expect("it is there");
    assert_eq!(read.total, read.items.len() as u64);
    read.items
}

fn kinds_of(deliveries: &[WebhookDelivery]) -> Vec<Option<EventKind>> {
    let kind = |delivery: &WebhookDelivery| match &delivery.message {
        DeliveryMessage::Event(event) => Some(event.kind),
        DeliveryMessage::Erased(kind) => Some(*kind),
        DeliveryMessage::Test => None,
    };
    deliveries.iter().map(kind).collect()
}

async fn claim(store: &StoreUnderTest, limit: u32) -> Vec<ClaimedDelivery> {
    let claimed = store
        .webhooks
        .claim_deliveries(limit, limit, &[], LEASE)
        .await;
    claimed.expect("the store works")
}

async fn redeliver(
    store: &StoreUnderTest,
    webhook: &Webhook,
    delivery: &WebhookDelivery,
) -> Redelivery {
    let done = store
        .webhooks
        .redeliver(webhook.user_id, webhook.id, delivery.id);
    done.await.expect("the store works")
}

fn failed_attempt() -> DeliveryAttempt {
    DeliveryAttempt {
        at_ms: 1_770_653_765_123,
        duration_ms: 17,
        status: Some(500),
        error: Some(AttemptError::Status),
        response_excerpt: Some("out of order".to_owned()),
        redirect_host: None,
    }
}

/// Whether the claim was valid.
async fn record(
    store: &StoreUnderTest,
    claimed: &ClaimedDelivery,
    outcome: AttemptOutcome,
) -> bool {
    let attempt = DeliveryAttempt {
        error: (outcome != AttemptOutcome::Delivered).then_some(AttemptError::Status),
        ..failed_attempt()
    };
    let recorded = store
        .webhooks
        .record_attempt(claimed.claim, attempt, outcome, 3 * DAY);
    recorded.await.expect("the store works")
}
