//! What a watcher of all jobs of a user receives: cuts at every event, gaps, filters.

use std::sync::atomic::Ordering;
use std::time::Duration;

use irisflow_jobs::{Checkpoint, Retention as _, Timestamp};

use super::site::{Site, Transport};

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_cut_at_every_event_gets_each_once_and_in_order() {
    let site = Site::start().await;
    for transport in Transport::ALL {
        let user = site.user(&format!("{transport:?}")).await;
        let mut watcher = user.watch(transport, None, None).await;
        assert_eq!(watcher.frame().await["type"], "snapshot");
        let produce = async {
            user.submit().await;
            let job = site.claim_and_reach(&[]).await;
            for checkpoint in &Checkpoint::ALL[..9] {
                site.reach(&job, *checkpoint).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let receive = async {
            let (mut seqs, mut cursor) = (Vec::new(), watcher.cursor.clone());
            while seqs.len() < 10 {
                let mut watcher = user.watch(transport, cursor.as_deref(), None).await;
                seqs.push(watcher.event().await["seq"].as_i64().expect("a seq"));
                cursor = watcher.cursor;
            }
            seqs
        };
        let ((), seqs) = tokio::join!(produce, receive);
        assert_eq!(seqs, (1..=10).collect::<Vec<i64>>(), "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_whose_events_were_pruned_gets_a_gap_and_a_snapshot() {
    let site = Site::start().await;
    let user = site.user("you").await;
    let mut watcher = user.watch(Transport::WebSocket, None, None).await;
    watcher.frame().await;
    let cursor = watcher.cursor.clone();
    user.submit().await;
    site.claim_and_reach(&Checkpoint::ALL[..4]).await;
    let later = Timestamp::from_millis(i64::MAX);
    let pruned = site.store.prune_events(Timestamp::EPOCH, later, 100).await;
    assert_eq!(pruned.expect("the store works"), 4);

    for transport in Transport::ALL {
        let mut returned = user.watch(transport, cursor.as_deref(), None).await;

        let gap = returned.frame().await;
        assert_eq!(
            (&gap["type"], &gap["reason"]),
            (&"gap".into(), &"pruned".into())
        );
        let snapshot = returned.frame().await;
        assert_eq!(snapshot["type"], "snapshot");
        let oldest = snapshot["jobs"].as_array().and_then(|jobs| jobs.last());
        assert_eq!(oldest.map(|job| &job["progress"]), Some(&40.into()));
        user.submit().await;
        assert_eq!(
            returned.event().await["kind"],
            "queued",
            "it goes on from there"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_transport_is_resumed_by_every_other() {
    let site = Site::start().await;
    let user = site.user("you").await;
    let mut cursor = None;
    for (number, transport) in Transport::ALL.into_iter().cycle().take(6).enumerate() {
        let mut watcher = user.watch(transport, cursor.as_deref(), None).await;
        if cursor.is_none() {
            watcher.frame().await;
        }
        user.submit().await;
        assert_eq!(watcher.event().await["seq"], number + 1);
        cursor = watcher.cursor;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_watcher_gets_its_job_alone() {
    let site = Site::start().await;
    let user = site.user("you").await;
    let wanted = user.submit().await;
    for transport in Transport::ALL {
        let mut watcher = user.watch(transport, None, Some(wanted)).await;
        let snapshot = watcher.frame().await;
        assert_eq!(snapshot["jobs"].as_array().map(Vec::len), Some(1));
        assert_eq!(snapshot["jobs"][0]["job_id"], wanted.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_gets_estimates_on_the_stream() {
    let site = Site::start().await;
    let user = site.user("you").await;
    let mut watcher = user.watch(Transport::EventStream, None, None).await;
    let (first, second) = (user.submit().await, user.submit().await);
    let mut positions = std::collections::HashMap::new();
    while positions.len() < 2 {
        let frame = watcher.frame().await;
        if frame["type"] == "estimate" {
            let job_id = frame["job_id"].as_str().expect("an id").to_owned();
            positions.insert(job_id, frame["queue_position"].as_u64());
        }
    }
    assert_eq!(positions[&first.to_string()], Some(1));
    assert_eq!(positions[&second.to_string()], Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_of_a_user_share_one_subscription() {
    let site = Site::start().await;
    let user = site.user("you").await;
    let mut watchers = Vec::new();
    for _ in 0..10 {
        for transport in [Transport::WebSocket, Transport::EventStream] {
            let mut watcher = user.watch(transport, None, None).await;
            watcher.frame().await;
            watchers.push(watcher);
        }
    }

    user.submit().await;
    for watcher in &mut watchers {
        assert_eq!(watcher.event().await["kind"], "queued");
    }

    assert_eq!(site.bus.subscriptions.load(Ordering::Relaxed), 1);
}
