//! A storage that refuses, hangs, or fails after it has done what it was asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use irisflow_jobs::UserId;
use irisflow_photos::{ObjectKey, ObjectStore as _, StorageError};
use irisflow_s3::S3Store;
use irisflow_test_servers::S3Fault;

use crate::server::{incoming, original, settings, start};

const PIXELS: Bytes = Bytes::from_static(b"pixels");
/// More than one part.
const LARGE: usize = 20 << 20;

async fn get(store: &S3Store, key: &ObjectKey) -> Option<Bytes> {
    store.get(key).await.expect("it is read")
}

async fn all_writes(store: &S3Store, key: &ObjectKey) -> Vec<Result<(), StorageError>> {
    let mut upload = store.begin_put(&incoming()).await.expect("begun");
    let flushed = match upload.write(PIXELS).await {
        Ok(()) => upload.flush().await,
        failed => failed,
    };
    vec![
        store.put(key, PIXELS).await,
        flushed,
        store.check_writable(10).await,
    ]
}

async fn all_other_calls(store: &S3Store, key: &ObjectKey) -> Vec<Result<(), StorageError>> {
    let prefixes = ObjectKey::prefixes_of_user(UserId::generate());
    vec![
        store.get(key).await.map(drop),
        store.read(key, 0..1).await.map(drop),
        store.size_of(key).await.map(drop),
        store.delete(key).await,
        store.list(&prefixes[0]).await.map(drop),
    ]
}

async fn all_calls(store: &S3Store, key: &ObjectKey) -> Vec<Result<(), StorageError>> {
    let mut results = all_other_calls(store, key).await;
    results.extend(all_writes(store, key).await);
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_repeated_until_the_storage_has_recovered() {
    for fault in [S3Fault::Refuse, S3Fault::Hang] {
        let (server, store) = start();
        let key = original();
        server.plan_fault(fault, 2);
        store
            .put(&key, PIXELS)
            .await
            .expect("stored at the third attempt");
        server.plan_fault(fault, 1);
        assert_eq!(get(&store, &key).await, Some(PIXELS), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_storing_was_not_confirmed_is_stored_once() {
    for fault in [S3Fault::FailAfterEffect, S3Fault::HangAfterEffect] {
        let (server, store) = start();
        let key = original();
        server.plan_fault(fault, 1);
        store.put(&key, PIXELS).await.expect("stored");
        assert_eq!(get(&store, &key).await, Some(PIXELS), "{fault:?}");
        assert_eq!(server.keys().expect("listed"), [key.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_survives_an_unconfirmed_completion() {
    for fault in [S3Fault::FailAfterEffect, S3Fault::HangAfterEffect] {
        let (server, store) = start();
        let key = original();
        let bytes = Bytes::from(vec![7; LARGE]);
        let mut upload = store.begin_put(&key).await.expect("begun");
        upload.write(bytes.clone()).await.expect("written");
        upload.flush().await.expect("flushed");
        server.plan_fault(fault, 1);
        upload.finish().await.expect("completed");
        assert!(get(&store, &key).await == Some(bytes), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_not_confirmed_may_be_repeated() {
    let (server, store) = start();
    let key = original();
    store.put(&key, PIXELS).await.expect("stored");
    server.plan_fault(S3Fault::FailAfterEffect, 1);
    store.delete(&key).await.expect("deleted");
    store.delete(&key).await.expect("deleted before");
    assert_eq!(get(&store, &key).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_away_is_an_outage_and_not_an_empty_one() {
    let (server, store) = start();
    let key = original();
    store.put(&key, PIXELS).await.expect("stored");
    server.stop();
    for result in all_calls(&store, &key).await {
        let error = result.expect_err("it is away");
        assert!(error.is_outage(), "{error}");
    }
    server.start_again().expect("it starts");
    assert_eq!(get(&store, &key).await, Some(PIXELS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_hangs_is_an_outage_within_the_time_limits() {
    let (server, store) = start();
    server.plan_fault(S3Fault::Hang, u32::MAX);
    let begun = Instant::now();
    let error = store.put(&original(), PIXELS).await.expect_err("no answer");
    assert!(error.is_outage(), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_is_an_outage_and_not_an_empty_one() {
    let (server, store) = start();
    let key = original();
    std::fs::remove_dir(server.bucket_folder()).expect("it is empty");
    // This server makes a new bucket when it is written to.
    for result in all_other_calls(&store, &key).await {
        let error = result.expect_err("there is no bucket");
        assert!(error.is_outage(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_an_outage() {
    let (server, _) = start();
    let mut settings = settings(&server);
    settings.credentials.secret_access_key = "another".to_owned();
    let store = S3Store::new(&settings).expect("valid");
    for result in all_calls(&store, &original()).await {
        let error = result.expect_err("refused");
        assert!(error.is_outage(), "{error}");
        assert!(!error.to_string().contains("another"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_dropped_after_parts_leaves_no_object() {
    let (server, store) = start();
    let mut upload = store.begin_put(&original()).await.expect("begun");
    let bytes = Bytes::from(vec![7; LARGE]);
    upload.write(bytes).await.expect("written");
    let before = server.requests();
    drop(upload);
    while server.requests() == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.keys().expect("listed"), [""; 0]);
}
