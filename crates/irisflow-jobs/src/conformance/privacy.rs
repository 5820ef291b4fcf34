//! Consents, the deletion of accounts, and what is kept for how long.

use std::time::Duration;

use tokio::task::JoinSet;

use super::StoreUnderTest;
use super::accounts::sign_in;
use super::store_under_test::quality_issue;
use crate::{
    Consent, ConsentType, DeletionReceipt, Destroyed, EventKind, Job, Jurisdiction, MOST_CONSENTS,
    NewConsent, NewPhoto, Photo, PhotoId, SweepTarget, UploadStatus, UserId,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn consents_are_listed_newest_first_and_to_their_user_only(store: StoreUnderTest) {
    let user_id = store.user().await;
    let first = consent(&store, user_id, ConsentType::BiometricCapture).await;
    store.advance(DAY).await;
    let second = consent(&store, user_id, ConsentType::Marketing).await;
    consent(&store, store.user().await, ConsentType::Marketing).await;

    let listed = store.privacy.consents(user_id).await;

    let listed = listed.expect("the store works").into_iter();
    let listed: Vec<_> = listed.map(|consent| consent.id).collect();
    assert_eq!(listed, [second.id, first.id]);
}

pub async fn a_withdrawn_consent_is_kept_and_counts_no_longer(store: StoreUnderTest) {
    let user_id = store.user().await;
    let biometric = ConsentType::BiometricCapture;
    let other = consent(&store, user_id, ConsentType::Marketing).await;
    let first = consent(&store, user_id, biometric).await;
    let again = consent(&store, user_id, biometric).await;
    let before = has_consent(&store, user_id, biometric).await;
    store.tick().await;
    let begun = store.now().await;

    let withdrawn = withdraw(&store, user_id, &first).await;

    assert!(before, "it was given");
    assert!(!has_consent(&store, user_id, biometric).await);
    let withdrawn_at = withdrawn.as_ref().and_then(|consent| consent.withdrawn_at);
    let withdrawn_at = withdrawn_at.expect("it is withdrawn");
    store.assert_between(begun, withdrawn_at).await;
    let expected = Consent {
        withdrawn_at: Some(withdrawn_at),
        ..first
    };
    assert_eq!(withdrawn, Some(expected.clone()));
    let listed = store.privacy.consents(user_id).await;
    let listed = listed.expect("the store works");
    assert_eq!(listed.len(), 3, "all are kept");
    assert!(listed.contains(&expected) && listed.contains(&other));
    let again = listed.iter().find(|consent| consent.id == again.id);
    let again = again.expect("it is kept");
    assert_eq!(again.withdrawn_at, Some(withdrawn_at), "those of its type");
    assert!(has_consent(&store, user_id, ConsentType::Marketing).await);
}

pub async fn a_consent_is_withdrawn_once_and_can_be_given_anew(store: StoreUnderTest) {
    let user_id = store.user().await;
    let biometric = ConsentType::BiometricCapture;
    let given = consent(&store, user_id, biometric).await;
    let first = withdraw(&store, user_id, &given).await;
    store.tick().await;

    let again = withdraw(&store, user_id, &given).await;
    consent(&store, user_id, biometric).await;

    assert_eq!(first, again, "the first withdrawal stays");
    assert!(has_consent(&store, user_id, biometric).await);
}

pub async fn consents_beyond_the_limit_are_not_recorded(store: StoreUnderTest) {
    let user_id = store.user().await;
    for _ in 0..MOST_CONSENTS {
        consent(&store, user_id, ConsentType::Marketing).await;
    }

    let refused = store
        .privacy
        .add_consent(new_consent(user_id, ConsentType::Marketing));

    assert_eq!(refused.await.expect("the store works"), None);
    let other = store.user().await;
    consent(&store, other, ConsentType::Marketing).await;
}

pub async fn a_foreign_consent_cannot_be_withdrawn(store: StoreUnderTest) {
    let user_id = store.user().await;
    let given = consent(&store, user_id, ConsentType::BiometricCapture).await;

    let withdrawn = withdraw(&store, store.user().await, &given).await;

    assert_eq!(withdrawn, None);
    assert!(has_consent(&store, user_id, ConsentType::BiometricCapture).await);
}

/// As when the account is deleted between a request's sign-in check and its write.
pub async fn what_names_an_account_that_is_gone_is_a_contradiction_and_no_outage(
    store: StoreUnderTest,
) {
    let consent = new_consent(UserId::generate(), ConsentType::Marketing);
    let consent = store.privacy.add_consent(consent);
    let photo = NewPhoto {
        id: PhotoId::generate(),
        user_id: UserId::generate(),
        announced_type: "image/jpeg".to_owned(),
    };
    let photo = store.photos.add_photo(photo, u64::MAX);

    let consent = consent.await.expect_err("there is no such account");
    let photo = photo.await.expect_err("there is no such account");

    assert!(consent.is_conflict(), "{consent}");
    assert!(photo.is_conflict(), "{photo}");
}

pub async fn a_deleted_account_takes_everything_with_it(store: StoreUnderTest) {
    let job = store.running_job().await;
    let session = sign_in(&store, job.user_id, [1; 32]).await;
    consent(&store, job.user_id, ConsentType::BiometricCapture).await;

    delete(&store, job.user_id).await.expect("there was one");

    assert_eq!(store.read(&job).await, None);
    assert_eq!(store.events(&job).await, []);
    assert_eq!(store.last_seq(job.user_id).await, None);
    let photo = store.photos.photo(job.user_id, job.photo_id).await;
    assert_eq!(photo.expect("the store works"), None);
    let live = store.accounts.session(session.id).await;
    assert_eq!(live.expect("the store works"), None);
    let consents = store.privacy.consents(job.user_id).await;
    assert_eq!(consents.expect("the store works"), []);
    let accounts = store.accounts.accounts().await;
    assert_eq!(accounts.expect("the store works"), []);
}

pub async fn the_receipt_counts_what_was_destroyed(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.photo(job.user_id).await;
    sign_in(&store, job.user_id, [1; 32]).await;
    consent(&store, job.user_id, ConsentType::BiometricCapture).await;

    let begun = store.now().await;
    let receipt = delete(&store, job.user_id).await.expect("there was one");

    store.assert_between(begun, receipt.at).await;
    let expected = Destroyed {
        photos: 2,
        jobs: 1,
        events: 1,
        sessions: 1,
        consents: 1,
    };
    assert_eq!(receipt.destroyed, expected);
    let noted = store.privacy.add_destroyed_objects(receipt.id, 3).await;
    noted.expect("the store works");
}

pub async fn the_worker_of_a_deleted_account_is_fenced_off(store: StoreUnderTest) {
    let job = store.running_job().await;
    delete(&store, job.user_id).await;

    let renewed = store
        .job_leases
        .renew(super::store_under_test::fence(&job))
        .await;

    assert_eq!(renewed.expect("the store works"), crate::Renewal::Lost);
}

pub async fn the_sessions_of_a_deleted_account_are_announced(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;

    delete(&store, session.user_id).await;

    let notifications = store.notifications.ended_sessions();
    assert_eq!(notifications, [(session.user_id, session.id)]);
}

pub async fn a_deleted_account_is_swept_now_and_when_leases_and_uploads_have_ended(
    store: StoreUnderTest,
) {
    let user_id = store.user().await;
    store.photo(user_id).await;
    delete(&store, user_id).await;
    let now = store.due_targets().await;
    store.sweep_all().await;
    store.advance(store.policy.lease * 2).await;
    let after_leases = store.due_targets().await;
    store.sweep_all().await;
    store.advance(store.policy.uploads_end_after()).await;
    let after_uploads = store.due_targets().await;
    store.sweep_all().await;
    store.advance(DAY).await;

    let everything = [SweepTarget::Account { user_id }];
    assert_eq!([now, after_leases, after_uploads], [everything; 3]);
    assert_eq!(store.due_targets().await, [], "its id is forgotten");
}

pub async fn deleting_an_account_leaves_the_others_alone(store: StoreUnderTest) {
    let job = store.running_job().await;

    delete(&store, store.user().await)
        .await
        .expect("there was one");
    let unknown = delete(&store, UserId::generate()).await;

    assert_eq!(unknown, None);
    assert_eq!(store.read(&job).await, Some(job));
}

pub async fn an_old_original_expires_and_its_result_stays(store: StoreUnderTest) {
    let job = finished_job(&store).await;
    store.advance(DAY).await;

    assert_eq!(expire_originals(&store).await, 1);

    let photo = photo_of(&store, &job).await.expect("it is kept");
    assert_eq!((photo.status, photo.stored), (UploadStatus::Expired, None));
    let (user_id, photo_id) = (job.user_id, job.photo_id);
    let swept = store.due_targets().await;
    assert!(swept.contains(&SweepTarget::Photo { user_id, photo_id }));
    let kept = store.read(&job).await.expect("it is kept");
    assert_eq!((kept.id, kept.state), (job.id, job.state));
    assert_eq!(expire_originals(&store).await, 0, "once is enough");
}

pub async fn an_original_does_not_expire_while_a_job_needs_it(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.take_in(job.user_id, job.photo_id).await;
    store.advance(DAY).await;

    assert_eq!(expire_originals(&store).await, 0);
}

pub async fn a_young_original_stays(store: StoreUnderTest) {
    finished_job(&store).await;

    assert_eq!(expire_originals(&store).await, 0);
}

pub async fn an_old_photo_without_jobs_is_deleted_altogether(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    store.advance(DAY).await;

    assert_eq!(expire_originals(&store).await, 1);

    let photo = store.photos.photo(user_id, photo_id).await;
    assert_eq!(photo.expect("the store works"), None);
}

pub async fn old_jobs_are_deleted_with_their_results(store: StoreUnderTest) {
    let job = finished_job(&store).await;
    store.advance(DAY).await;

    assert_eq!(expire_jobs(&store).await, 1);

    assert_eq!(store.read(&job).await, None);
    assert_eq!(store.kinds(&job).await.last(), Some(&EventKind::Deleted));
    let (user_id, job_id) = (job.user_id, job.id);
    let swept = store.due_targets().await;
    assert!(swept.contains(&SweepTarget::JobLeftovers { user_id, job_id }));
    assert!(
        photo_of(&store, &job).await.is_some(),
        "its original is kept"
    );
}

pub async fn unfinished_and_young_jobs_stay(store: StoreUnderTest) {
    store.queue(store.user().await).await;
    store.advance(DAY).await;
    finished_job(&store).await;

    assert_eq!(expire_jobs(&store).await, 0);
}

pub async fn the_last_job_of_an_expired_original_takes_the_photo_along(store: StoreUnderTest) {
    let job = finished_job(&store).await;
    store.advance(DAY).await;
    expire_originals(&store).await;

    expire_jobs(&store).await;

    assert_eq!(photo_of(&store, &job).await, None);
}

pub async fn nodes_that_expire_jobs_at_once_delete_each_once(store: StoreUnderTest) {
    const JOBS: u32 = 12;
    for _ in 0..JOBS {
        let job = store.running_job().await;
        store.fail(&job, quality_issue()).await;
    }
    store.advance(DAY).await;
    let before = store.now().await;
    let mut nodes = JoinSet::new();
    for _ in 0..3 {
        let node = store.open_node().await;
        nodes.spawn(async move {
            let mut expired = 0;
            loop {
                match node.expire_jobs(before, 2).await.expect("the store works") {
                    0 => return expired,
                    some => expired += some,
                }
            }
        });
    }

    let expired: u32 = nodes.join_all().await.iter().sum();

    assert_eq!(expired, JOBS);
}

pub async fn expiring_stops_at_its_limit(store: StoreUnderTest) {
    for _ in 0..3 {
        let job = store.running_job().await;
        store.fail(&job, quality_issue()).await;
    }
    store.advance(DAY).await;

    let some = store.retention.expire_jobs(store.now().await, 2).await;

    assert_eq!(some.expect("the store works"), 2);
    assert_eq!(expire_jobs(&store).await, 1);
}

async fn consent(store: &StoreUnderTest, user_id: UserId, consent_type: ConsentType) -> Consent {
    let added = store
        .privacy
        .add_consent(new_consent(user_id, consent_type));
    let added = added.await.expect("the store works");
    added.expect("there is room for it")
}

fn new_consent(user_id: UserId, consent_type: ConsentType) -> NewConsent {
    NewConsent {
        user_id,
        consent_type,
        jurisdiction: Jurisdiction::Bipa,
        text_version: "2026-11".to_owned(),
    }
}

async fn delete(store: &StoreUnderTest, user_id: UserId) -> Option<DeletionReceipt> {
    let deleted = store.privacy.delete_account(user_id).await;
    deleted.expect("the store works")
}

/// A finished job whose photo was taken in.
async fn finished_job(store: &StoreUnderTest) -> Job {
    let user_id = store.user().await;
    let queued = store.queue(user_id).await;
    store.take_in(user_id, queued.photo_id).await;
    loop {
        let claimed = store.claim().await;
        if claimed.id == queued.id {
            return store.finish(&claimed).await;
        }
    }
}

async fn photo_of(store: &StoreUnderTest, job: &Job) -> Option<Photo> {
    let photo = store.photos.photo(job.user_id, job.photo_id).await;
    photo.expect("the store works")
}

async fn expire_originals(store: &StoreUnderTest) -> u32 {
    let expired = store
        .retention
        .expire_originals(store.now().await - DAY / 2, 100)
        .await;
    expired.expect("the store works")
}

async fn expire_jobs(store: &StoreUnderTest) -> u32 {
    let expired = store
        .retention
        .expire_jobs(store.now().await - DAY / 2, 100)
        .await;
    expired.expect("the store works")
}

async fn has_consent(store: &StoreUnderTest, user_id: UserId, consent_type: ConsentType) -> bool {
    let has_consent = store.privacy.has_consent(user_id, consent_type).await;
    has_consent.expect("the store works")
}

async fn withdraw(store: &StoreUnderTest, user_id: UserId, consent: &Consent) -> Option<Consent> {
    let withdrawn = store.privacy.withdraw_consent(user_id, consent.id).await;
    withdrawn.expect("the store works")
}
