//! A photo from its announcement to its deletion.

use super::StoreUnderTest;
use super::store_under_test::stored_photo;
use crate::{
    Confirmed, EventKind, NewPhoto, PageRequest, Photo, PhotoFilter, PhotoId, Received,
    StoredPhoto, SweepTarget, UploadStatus, UserId,
};

pub async fn a_new_photo_awaits_its_upload(store: StoreUnderTest) {
    let user_id = store.user().await;
    let begun = store.now().await;
    let photo_id = store.photo(user_id).await;

    let photo = read(&store, user_id, photo_id).await.expect("it is known");

    assert_eq!((photo.status, photo.stored), (UploadStatus::Pending, None));
    assert_eq!(photo.announced_type, "image/jpeg");
    store.assert_between(begun, photo.created_at).await;
}

pub async fn confirming_records_what_was_stored(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let begun = store.now().await;

    let confirmed = confirm(&store, user_id, photo_id, stored_photo()).await;

    let photo = read(&store, user_id, photo_id).await;
    assert_eq!(photo, confirmed);
    let photo = photo.expect("it is known");
    assert_eq!(photo.status, UploadStatus::Uploaded);
    assert_eq!(photo.stored, Some(stored_photo()));
    store.assert_between(begun, photo.updated_at).await;
}

pub async fn a_second_confirm_changes_nothing(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let first = confirm(&store, user_id, photo_id, stored_photo()).await;

    let other = StoredPhoto {
        width_px: 1,
        ..stored_photo()
    };
    let second = confirm(&store, user_id, photo_id, other).await;

    assert_eq!(second, first);
    assert_eq!(read(&store, user_id, photo_id).await, first);
}

pub async fn a_failed_upload_may_still_succeed(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    fail(&store, user_id, photo_id).await;
    let failed = read(&store, user_id, photo_id).await;

    let confirmed = confirm(&store, user_id, photo_id, stored_photo()).await;

    let status = |photo: Option<Photo>| photo.map(|photo| photo.status);
    assert_eq!(status(failed), Some(UploadStatus::Failed));
    assert_eq!(status(confirmed), Some(UploadStatus::Uploaded));
}

pub async fn an_uploaded_photo_does_not_fail_afterwards(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let confirmed = confirm(&store, user_id, photo_id, stored_photo()).await;

    fail(&store, user_id, photo_id).await;

    assert_eq!(read(&store, user_id, photo_id).await, confirmed);
}

pub async fn a_foreign_photo_is_neither_shown_nor_changed(store: StoreUnderTest) {
    let (owner, stranger) = (store.user().await, store.user().await);
    let photo_id = store.photo(owner).await;
    let before = read(&store, owner, photo_id).await;

    let shown = read(&store, stranger, photo_id).await;
    let confirmed = confirm(&store, stranger, photo_id, stored_photo()).await;
    fail(&store, stranger, photo_id).await;

    assert_eq!((shown, confirmed), (None, None));
    assert_eq!(read(&store, owner, photo_id).await, before);
}

pub async fn of_many_photos_those_of_the_user_are_read_at_once(store: StoreUnderTest) {
    let (owner, stranger) = (store.user().await, store.user().await);
    let mut mine = [store.photo(owner).await, store.photo(owner).await];
    let ids = [
        mine[0],
        PhotoId::generate(),
        store.photo(stranger).await,
        mine[1],
    ];

    let read = store.photos.photos_by_id(owner, &ids).await;

    let read = read.expect("the store works").into_iter();
    let mut read: Vec<PhotoId> = read.map(|photo| photo.id).collect();
    read.sort_unstable();
    mine.sort_unstable();
    assert_eq!(read, mine);
}

pub async fn photos_are_listed_newest_first_and_in_pages(store: StoreUnderTest) {
    let (user_id, other) = (store.user().await, store.user().await);
    let mut added = Vec::new();
    for _ in 0..3 {
        added.push(store.photo(user_id).await);
        store.photo(other).await;
        store.tick().await;
    }

    let mut paged: Vec<Vec<PhotoId>> = Vec::new();
    for page in 1..=2 {
        let page = PageRequest { page, page_size: 2 };
        let listed = store.photos.photos(user_id, PhotoFilter::All, page).await;
        let listed = listed.expect("the store works");
        assert_eq!(listed.total, 3);
        paged.push(listed.items.iter().map(|photo| photo.id).collect());
    }

    let pages = [vec![added[2], added[1]], vec![added[0]]];
    assert_eq!(paged, pages);
}

pub async fn photos_that_were_never_taken_in_are_listed_on_request_only(store: StoreUnderTest) {
    let user_id = store.user().await;
    let [pending, failed, taken_in] = [
        store.photo(user_id).await,
        store.photo(user_id).await,
        store.photo(user_id).await,
    ];
    fail(&store, user_id, failed).await;
    confirm(&store, user_id, taken_in, stored_photo()).await;

    let listed = async |filter| {
        let page = PageRequest {
            page: 1,
            page_size: 10,
        };
        let listed = store.photos.photos(user_id, filter, page).await;
        let listed = listed.expect("the store works");
        assert_eq!(listed.total, listed.items.len() as u64);
        let mut ids: Vec<PhotoId> = listed.items.iter().map(|photo| photo.id).collect();
        ids.sort();
        ids
    };

    assert_eq!(listed(PhotoFilter::TakenIn).await, [taken_in]);
    let mut all = [pending, failed, taken_in];
    all.sort();
    assert_eq!(listed(PhotoFilter::All).await, all);
}

pub async fn a_user_has_so_many_unconfirmed_photos_and_no_more(store: StoreUnderTest) {
    let user_id = store.user().await;
    let add = async || {
        let new = NewPhoto {
            id: PhotoId::generate(),
            user_id,
            announced_type: "image/jpeg".to_owned(),
        };
        let added = store.photos.add_photo(new, 2).await;
        added.expect("the store works").map(|photo| photo.id)
    };
    let first = add().await.expect("the first");
    add().await.expect("the second");
    assert_eq!(add().await, None);

    confirm(&store, user_id, first, stored_photo()).await;

    assert!(add().await.is_some(), "a confirmed photo makes room");
    assert_eq!(add().await, None);
}

pub async fn an_upload_that_is_never_confirmed_goes_with_its_sweep(store: StoreUnderTest) {
    let user_id = store.user().await;
    let (never, confirmed) = (store.photo(user_id).await, store.photo(user_id).await);
    receive(&store, user_id, never, 1000, u64::MAX).await;
    confirm(&store, user_id, confirmed, stored_photo()).await;

    store.advance(store.policy.uploads_end_after()).await;
    store.sweep_all().await;

    assert_eq!(read(&store, user_id, never).await, None);
    assert!(read(&store, user_id, confirmed).await.is_some());
    let usage = store
        .statistics
        .usage(user_id)
        .await
        .expect("the store works");
    assert_eq!(usage.incoming_bytes, 0);
}

pub async fn an_upload_counts_until_it_is_confirmed_or_turned_down(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photos = [store.photo(user_id).await, store.photo(user_id).await];
    for photo_id in photos {
        let received = receive(&store, user_id, photo_id, 5_000_000, u64::MAX).await;
        assert_eq!(received, Received::Counted);
    }
    let incoming = async || {
        let usage = store.statistics.usage(user_id).await;
        usage.expect("the store works").incoming_bytes
    };
    assert_eq!(incoming().await, 10_000_000);

    confirm(&store, user_id, photos[0], stored_photo()).await;
    assert_eq!(incoming().await, 5_000_000);
    fail(&store, user_id, photos[1]).await;
    assert_eq!(incoming().await, 0);
}

pub async fn an_upload_beyond_the_quota_is_not_counted(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photos = [store.photo(user_id).await, store.photo(user_id).await];

    let first = receive(&store, user_id, photos[0], 600, 1000).await;
    let second = receive(&store, user_id, photos[1], 600, 1000).await;
    let instead = receive(&store, user_id, photos[0], 900, 1000).await;

    assert_eq!((first, second), (Received::Counted, Received::StorageFull));
    assert_eq!(
        instead,
        Received::Counted,
        "it takes the place of the first"
    );
}

pub async fn an_upload_to_a_photo_that_is_gone_or_taken_in_is_not_counted(store: StoreUnderTest) {
    let user_id = store.user().await;
    let (taken_in, stranger) = (store.photo(user_id).await, store.user().await);
    confirm(&store, user_id, taken_in, stored_photo()).await;

    let again = receive(&store, user_id, taken_in, 1, u64::MAX).await;
    let foreign = receive(&store, stranger, taken_in, 1, u64::MAX).await;
    let unknown = receive(&store, user_id, PhotoId::generate(), 1, u64::MAX).await;

    assert_eq!(again, Received::TakenInBefore);
    assert_eq!((foreign, unknown), (Received::Missing, Received::Missing));
}

pub async fn each_intake_has_its_own_number_and_a_sweep(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;

    let numbers = [
        begin(&store, user_id, photo_id).await,
        begin(&store, user_id, photo_id).await,
    ];

    assert_eq!(numbers, [Some(1), Some(2)]);
    assert_eq!(store.due_targets().await, [], "it may be under way");
    store.advance(store.policy.intake_limit).await;
    let target = SweepTarget::Intakes { user_id, photo_id };
    assert_eq!(store.due_targets().await, [target, target]);
}

pub async fn only_the_newest_intake_is_recorded(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let first = begin(&store, user_id, photo_id).await;
    let second = begin(&store, user_id, photo_id).await;

    let superseded = record(&store, user_id, photo_id, stored_by(first), u64::MAX).await;
    let recorded = record(&store, user_id, photo_id, stored_by(second), u64::MAX).await;
    let late = record(&store, user_id, photo_id, stored_by(first), u64::MAX).await;

    assert_eq!(superseded, Confirmed::Superseded);
    assert_eq!(late, recorded);
    let photo = read(&store, user_id, photo_id).await.expect("it is known");
    assert_eq!(photo.stored, Some(stored_by(second)));
    assert_eq!(
        begin(&store, user_id, photo_id).await,
        None,
        "it is taken in"
    );
}

pub async fn an_intake_that_is_given_up_is_not_recorded(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let slow = begin(&store, user_id, photo_id).await;

    let kept = store
        .photos
        .end_intakes(photo_id)
        .await
        .expect("the store works");
    let recorded = record(&store, user_id, photo_id, stored_by(slow), u64::MAX).await;

    assert_eq!((kept, recorded), (None, Confirmed::Superseded));
}

pub async fn the_recorded_intake_is_kept(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    begin(&store, user_id, photo_id).await;
    let second = begin(&store, user_id, photo_id).await;
    record(&store, user_id, photo_id, stored_by(second), u64::MAX).await;

    for _ in 0..2 {
        let kept = store.photos.end_intakes(photo_id).await;
        assert_eq!(kept.expect("the store works"), second);
    }
}

pub async fn an_only_intake_that_is_recorded_leaves_no_sweep_of_its_own(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let first = begin(&store, user_id, photo_id).await;
    record(&store, user_id, photo_id, stored_by(first), u64::MAX).await;

    store.advance(store.policy.intake_limit).await;

    let target = SweepTarget::Intakes { user_id, photo_id };
    assert!(!store.due_targets().await.contains(&target));
}

pub async fn a_deleted_photo_is_gone_with_its_jobs(store: StoreUnderTest) {
    let running = store.running_job().await;
    let kept = store.queue(running.user_id).await;

    store.delete_photo_of(&running).await;

    let photo = read(&store, running.user_id, running.photo_id).await;
    assert_eq!((photo, store.read(&running).await), (None, None));
    assert_eq!(store.read(&kept).await, Some(kept.clone()));
    assert_eq!(store.claim().await.id, kept.id, "only the other one waits");
    store.let_leases_expire().await;
    assert_eq!(store.reap().await.map(|job| job.id), Some(kept.id));
    assert_eq!(store.reap().await, None);
}

pub async fn deleting_logs_the_end_of_each_job(store: StoreUnderTest) {
    let done = store.running_job().await;
    store.finish(&done).await;
    let again = crate::NewJob {
        id: crate::JobId::generate(),
        photo_id: done.photo_id,
        ..store.new_job(done.user_id, done.priority).await
    };
    let waiting = store.queue_all(vec![again]).await;

    store.delete_photo_of(&done).await;

    for job in [&done, &waiting[0]] {
        let events = store.events(job).await;
        let last = events.last().expect("the job was deleted");
        assert_eq!(last.kind, EventKind::Deleted);
        assert_eq!(last.body.status, "deleted");
    }
}

pub async fn deleting_a_foreign_or_unknown_photo_changes_nothing(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    for (user_id, photo_id) in [(stranger, job.photo_id), (job.user_id, PhotoId::generate())] {
        let deleted = store.photos.delete_photo(user_id, photo_id).await;
        assert!(!deleted.expect("the store works"), "there is none");
    }

    assert_eq!(store.read(&job).await, Some(job));
    assert_eq!(store.due_targets().await, [], "nothing is swept");
}

pub async fn confirming_a_deleted_photo_is_none(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.delete_photo_of(&job).await;

    let confirmed = confirm(&store, job.user_id, job.photo_id, stored_photo()).await;

    assert_eq!(confirmed, None);
    assert_eq!(read(&store, job.user_id, job.photo_id).await, None);
}

async fn read(store: &StoreUnderTest, user_id: UserId, photo_id: PhotoId) -> Option<Photo> {
    let photo = store.photos.photo(user_id, photo_id).await;
    photo.expect("the store works")
}

pub async fn a_photo_beyond_the_quota_is_not_taken_in(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photos = [store.photo(user_id).await, store.photo(user_id).await];
    let quota = 2 * stored_photo().size_bytes - 1;
    let first = confirm_within(&store, user_id, photos[0], stored_photo(), quota).await;
    let second = confirm_within(&store, user_id, photos[1], stored_photo(), quota).await;
    let again = confirm_within(&store, user_id, photos[0], stored_photo(), quota).await;

    assert_eq!(second, Confirmed::StorageFull);
    assert!(matches!(first, Confirmed::Photo(_)));
    assert_eq!(again, first, "what was taken in stays");
    let refused = read(&store, user_id, photos[1]).await;
    assert_eq!(
        refused.map(|photo| photo.status),
        Some(UploadStatus::Pending)
    );
}

async fn confirm(
    store: &StoreUnderTest,
    user_id: UserId,
    photo_id: PhotoId,
    stored: StoredPhoto,
) -> Option<Photo> {
    match confirm_within(store, user_id, photo_id, stored, u64::MAX).await {
        Confirmed::Photo(photo) => Some(photo),
        Confirmed::Missing => None,
        refused => panic!("nothing is larger than this quota: {refused:?}"),
    }
}

async fn begin(store: &StoreUnderTest, user_id: UserId, photo_id: PhotoId) -> Option<i64> {
    let begun = store.photos.begin_intake(user_id, photo_id).await;
    begun.expect("the store works")
}

fn stored_by(intake: Option<i64>) -> StoredPhoto {
    StoredPhoto {
        intake,
        ..stored_photo()
    }
}

async fn receive(
    store: &StoreUnderTest,
    user_id: UserId,
    photo_id: PhotoId,
    size_bytes: u64,
    quota_bytes: u64,
) -> Received {
    let received = store
        .photos
        .receive_photo(user_id, photo_id, size_bytes, quota_bytes);
    received.await.expect("the store works")
}

/// Begins an intake and records it.
async fn confirm_within(
    store: &StoreUnderTest,
    user_id: UserId,
    photo_id: PhotoId,
    stored: StoredPhoto,
    quota_bytes: u64,
) -> Confirmed {
    let intake = begin(store, user_id, photo_id).await.or(stored.intake);
    let stored = StoredPhoto { intake, ..stored };
    record(store, user_id, photo_id, stored, quota_bytes).await
}

async fn record(
    store: &StoreUnderTest,
    user_id: UserId,
    photo_id: PhotoId,
    stored: StoredPhoto,
    quota_bytes: u64,
) -> Confirmed {
    let confirmed = store
        .photos
        .confirm_photo(user_id, photo_id, stored, quota_bytes);
    confirmed.await.expect("the store works")
}

async fn fail(store: &StoreUnderTest, user_id: UserId, photo_id: PhotoId) {
    let failed = store.photos.record_upload_failure(user_id, photo_id).await;
    failed.expect("the store works");
}
