//! What every object store promises. Each case is a function over a fresh store that makes one claim;
//! [`every_object_store_must_pass!`](crate::every_object_store_must_pass) makes them the tests of an
//! implementation.
#![expect(
    clippy::expect_used,
    reason = "these are tests, though they live where every implementation can reach them"
)]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use irisflow_jobs::{JobId, PhotoFormat, PhotoId, SweepTarget, UserId};

use crate::{
    JobObject, ObjectKey, ObjectStore, ObjectUpload, delete_all_of_user, delete_swept,
    swept_objects,
};

/// The tests of a store: `async fn open() -> (impl Drop or any guard, Arc<dyn ObjectStore>)` gives a fresh one.
#[macro_export]
macro_rules! every_object_store_must_pass {
    ($open:ident) => {
        $crate::object_store_tests! { $open:
            an_object_is_read_back_until_it_is_deleted,
            a_second_put_replaces_the_first,
            an_empty_object_is_an_object,
            deleting_what_does_not_exist_does_no_harm,
            a_large_object_comes_back_unchanged,
            an_upload_is_visible_whole_and_only_when_it_is_finished,
            a_flushed_upload_is_not_visible,
            an_upload_that_is_dropped_leaves_nothing,
            two_uploads_of_one_key_do_not_mix,
            a_range_is_read_as_asked_for,
            what_does_not_exist_is_none,
            listing_a_job_finds_all_its_epochs_and_nothing_else,
            listing_a_user_finds_all_its_photos_and_nothing_else,
            listing_an_area_finds_the_objects_of_all_users_and_nothing_else,
            a_result_that_is_written_after_the_listing_stays,
            leftovers_of_other_epochs_go_and_the_recorded_result_stays,
            superseded_intakes_go_and_the_recorded_one_stays,
            an_account_leaves_no_object,
            a_check_for_writing_leaves_no_object,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! object_store_tests {
    ($open:ident: $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_guard, store) = $open().await;
                $crate::conformance::$case(store).await;
            }
        )+
    };
}

type Store = Arc<dyn ObjectStore>;

pub async fn an_object_is_read_back_until_it_is_deleted(store: Store) {
    let key = incoming();
    put(&store, &key, b"pixels").await;
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b"pixels"[..]));
    assert_eq!(store.size_of(&key).await.expect("size"), Some(6));
    store.delete(&key).await.expect("deleted");
    assert_eq!(get(&store, &key).await, None);
    assert_eq!(store.size_of(&key).await.expect("size"), None);
}

pub async fn a_second_put_replaces_the_first(store: Store) {
    let key = incoming();
    put(&store, &key, b"first of all").await;
    put(&store, &key, b"second").await;
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b"second"[..]));
}

pub async fn an_empty_object_is_an_object(store: Store) {
    let key = incoming();
    put(&store, &key, b"").await;
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b""[..]));
    assert_eq!(store.size_of(&key).await.expect("size"), Some(0));
}

pub async fn deleting_what_does_not_exist_does_no_harm(store: Store) {
    let key = incoming();
    store.delete(&key).await.expect("nothing to delete");
    put(&store, &key, b"x").await;
    store.delete(&key).await.expect("deleted");
    store.delete(&key).await.expect("deleted before");
}

pub async fn a_large_object_comes_back_unchanged(store: Store) {
    let key = incoming();
    let bytes = pattern(12 << 20);
    let mut upload = begin(&store, &key).await;
    for piece in bytes.chunks(300_000) {
        write(&mut *upload, piece).await;
    }
    assert_eq!(upload.size_bytes(), bytes.len() as u64);
    upload.finish().await.expect("finished");
    assert!(get(&store, &key).await.expect("stored") == bytes);
}

pub async fn an_upload_is_visible_whole_and_only_when_it_is_finished(store: Store) {
    let key = incoming();
    let mut upload = begin(&store, &key).await;
    write(&mut *upload, b"one ").await;
    assert_eq!(get(&store, &key).await, None);
    write(&mut *upload, b"two").await;
    assert_eq!(upload.size_bytes(), 7);
    upload.finish().await.expect("finished");
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b"one two"[..]));
}

pub async fn a_flushed_upload_is_not_visible(store: Store) {
    let key = incoming();
    let mut upload = begin(&store, &key).await;
    write(&mut *upload, b"bytes").await;
    upload.flush().await.expect("flushed");
    assert_eq!(get(&store, &key).await, None);
    upload.finish().await.expect("finished");
    assert!(get(&store, &key).await.is_some());
}

pub async fn an_upload_that_is_dropped_leaves_nothing(store: Store) {
    let (user_id, photo_id) = (UserId::generate(), PhotoId::generate());
    let key = ObjectKey::Incoming { user_id, photo_id };
    let mut upload = begin(&store, &key).await;
    write(&mut *upload, b"half").await;
    drop(upload);
    assert_eq!(get(&store, &key).await, None);
    for prefix in ObjectKey::prefixes_of_user(user_id) {
        assert_eq!(store.list(&prefix).await.expect("listed"), []);
    }
}

pub async fn two_uploads_of_one_key_do_not_mix(store: Store) {
    let key = incoming();
    let (mut first, mut second) = (begin(&store, &key).await, begin(&store, &key).await);
    for _ in 0..10 {
        write(&mut *first, b"1").await;
        write(&mut *second, b"2").await;
    }
    first.finish().await.expect("finished");
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b"1111111111"[..]));
    second.finish().await.expect("finished");
    assert_eq!(get(&store, &key).await.as_deref(), Some(&b"2222222222"[..]));
}

pub async fn a_range_is_read_as_asked_for(store: Store) {
    let key = incoming();
    let bytes = pattern(100_000);
    store.put(&key, bytes.clone()).await.expect("put");
    for range in [0..100_000, 0..1, 99_999..100_000, 5_000..70_000] {
        let pieces = store.read(&key, range.clone()).await.expect("read");
        let pieces: Vec<Bytes> = pieces.expect("exists").try_collect().await.expect("pieces");
        let wanted = &bytes[range.start as usize..range.end as usize];
        assert!(pieces.concat() == wanted, "{range:?}");
    }
}

pub async fn what_does_not_exist_is_none(store: Store) {
    let key = incoming();
    assert_eq!(get(&store, &key).await, None);
    assert!(store.read(&key, 0..1).await.expect("read").is_none());
    assert_eq!(store.size_of(&key).await.expect("size"), None);
}

pub async fn listing_a_job_finds_all_its_epochs_and_nothing_else(store: Store) {
    let (user_id, job_id) = (UserId::generate(), JobId::generate());
    let first = ObjectKey::of_attempt(user_id, job_id, 1)[0];
    let second = ObjectKey::of_attempt(user_id, job_id, 2)[1];
    let other = ObjectKey::of_attempt(user_id, JobId::generate(), 1)[0];
    for key in [first, second, other] {
        put(&store, &key, b"x").await;
    }
    let prefix = ObjectKey::prefix_of_job(user_id, job_id);
    assert_eq!(list(&store, &prefix).await, sorted([first, second]));
}

pub async fn listing_a_user_finds_all_its_photos_and_nothing_else(store: Store) {
    let (user_id, other) = (UserId::generate(), UserId::generate());
    let originals = [1, 2, 3].map(|intake| original(user_id, PhotoId::generate(), Some(intake)));
    for key in originals {
        put(&store, &key, b"x").await;
    }
    put(&store, &original(other, PhotoId::generate(), None), b"x").await;
    let [_, photos, _] = ObjectKey::prefixes_of_user(user_id);
    assert_eq!(list(&store, &photos).await, sorted(originals));
}

pub async fn listing_an_area_finds_the_objects_of_all_users_and_nothing_else(store: Store) {
    let originals = [1, 2].map(|_| original(UserId::generate(), PhotoId::generate(), None));
    for key in originals.into_iter().chain([incoming()]) {
        put(&store, &key, b"x").await;
    }
    let [uploads, photos, results] = ObjectKey::AREAS;
    assert_eq!(list(&store, uploads).await.len(), 1);
    assert_eq!(list(&store, photos).await, sorted(originals));
    assert_eq!(list(&store, results).await, []);
}

pub async fn a_result_that_is_written_after_the_listing_stays(store: Store) {
    let (user_id, job_id) = (UserId::generate(), JobId::generate());
    let [old, new] = [1, 2].map(|epoch| ObjectKey::of_attempt(user_id, job_id, epoch)[0]);
    put(&store, &old, b"x").await;

    let target = SweepTarget::JobLeftovers { user_id, job_id };
    let listed = swept_objects(&*store, target).await.expect("listed");
    put(&store, &new, b"x").await;
    delete_swept(&*store, &listed, None).await.expect("deleted");

    assert_eq!(get(&store, &old).await, None);
    assert!(get(&store, &new).await.is_some());
}

pub async fn leftovers_of_other_epochs_go_and_the_recorded_result_stays(store: Store) {
    let (user_id, job_id) = (UserId::generate(), JobId::generate());
    for epoch in 1..=3 {
        for key in ObjectKey::of_attempt(user_id, job_id, epoch) {
            put(&store, &key, b"x").await;
        }
    }

    let target = SweepTarget::JobLeftovers { user_id, job_id };
    let listed = swept_objects(&*store, target).await.expect("listed");
    let deleted = delete_swept(&*store, &listed, Some(2)).await;
    assert_eq!(deleted.expect("deleted"), 2 * JobObject::ALL.len());

    let left = list(&store, &ObjectKey::prefix_of_job(user_id, job_id)).await;
    assert_eq!(left, sorted(ObjectKey::of_attempt(user_id, job_id, 2)));
}

pub async fn superseded_intakes_go_and_the_recorded_one_stays(store: Store) {
    let (user_id, photo_id) = (UserId::generate(), PhotoId::generate());
    for intake in [None, Some(1), Some(2), Some(3)] {
        put(&store, &original(user_id, photo_id, intake), b"x").await;
    }
    let thumbnail = |intake| ObjectKey::PhotoThumbnail {
        user_id,
        photo_id,
        intake,
    };
    for intake in [1, 2] {
        put(&store, &thumbnail(intake), b"x").await;
    }

    let target = SweepTarget::Intakes { user_id, photo_id };
    let listed = swept_objects(&*store, target).await.expect("listed");
    let deleted = delete_swept(&*store, &listed, Some(2)).await;
    deleted.expect("deleted");

    let left = list(&store, &ObjectKey::prefix_of_photo(user_id, photo_id)).await;
    let recorded = original(user_id, photo_id, Some(2));
    let before_intakes = original(user_id, photo_id, None);
    assert_eq!(left, sorted([recorded, thumbnail(2), before_intakes]));
}

pub async fn an_account_leaves_no_object(store: Store) {
    let (user_id, other) = (UserId::generate(), UserId::generate());
    for user_id in [user_id, other] {
        let photo_id = PhotoId::generate();
        put(&store, &ObjectKey::Incoming { user_id, photo_id }, b"x").await;
        put(&store, &original(user_id, photo_id, Some(1)), b"x").await;
        for key in ObjectKey::of_attempt(user_id, JobId::generate(), 1) {
            put(&store, &key, b"x").await;
        }
    }

    let deleted = delete_all_of_user(&*store, user_id).await;
    assert_eq!(deleted.expect("deleted"), 2 + JobObject::ALL.len());

    for prefix in ObjectKey::prefixes_of_user(user_id) {
        assert_eq!(list(&store, &prefix).await, []);
    }
    for prefix in ObjectKey::prefixes_of_user(other) {
        assert_ne!(list(&store, &prefix).await, []);
    }
}

pub async fn a_check_for_writing_leaves_no_object(store: Store) {
    store.check_writable(100_000).await.expect("writable");
    let free = store.free_bytes().await.expect("known");
    assert_ne!(free, Some(0));
}

fn incoming() -> ObjectKey {
    ObjectKey::Incoming {
        user_id: UserId::generate(),
        photo_id: PhotoId::generate(),
    }
}

fn original(user_id: UserId, photo_id: PhotoId, intake: Option<i64>) -> ObjectKey {
    ObjectKey::Original {
        user_id,
        photo_id,
        intake,
        format: PhotoFormat::Jpeg,
    }
}

fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|index| (index % 251) as u8)
        .collect::<Vec<u8>>()
        .into()
}

fn sorted(keys: impl Into<Vec<ObjectKey>>) -> Vec<ObjectKey> {
    let mut keys = keys.into();
    keys.sort_by_key(ToString::to_string);
    keys
}

async fn put(store: &Store, key: &ObjectKey, bytes: &'static [u8]) {
    let put = store.put(key, Bytes::from_static(bytes)).await;
    put.expect("put");
}

async fn get(store: &Store, key: &ObjectKey) -> Option<Bytes> {
    store.get(key).await.expect("get")
}

async fn list(store: &Store, prefix: &str) -> Vec<ObjectKey> {
    sorted(store.list(prefix).await.expect("listed"))
}

async fn begin(store: &Store, key: &ObjectKey) -> Box<dyn ObjectUpload> {
    store.begin_put(key).await.expect("begins")
}

async fn write(upload: &mut dyn ObjectUpload, bytes: &[u8]) {
    let written = upload.write(Bytes::copy_from_slice(bytes)).await;
    written.expect("written");
}
