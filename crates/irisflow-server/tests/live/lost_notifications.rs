//! Watchers on a bus that swallows, doubles and reorders notifications.

use irisflow_jobs::Checkpoint;

use super::site::{Site, Transport, User};

const JOBS: i64 = 12;
/// The first event of a job and its checkpoints.
const EVENTS: i64 = JOBS * 10;

#[tokio::test(flavor = "multi_thread")]
async fn every_watcher_converges_on_a_bus_that_swallows_doubles_and_reorders() {
    let site = Site::start().await;
    let user = site.user("you").await;
    site.bus.set_faulty();
    let produce = async {
        for _ in 0..JOBS {
            user.submit().await;
            site.claim_and_reach(&Checkpoint::ALL[..9]).await;
        }
    };
    let expected: Vec<i64> = (1..=EVENTS).collect();
    let [first, second, third] = Transport::ALL;
    let (received, ()) = tokio::join!(
        async {
            tokio::join!(
                all_events(&user, first),
                all_events(&user, second),
                all_events(&user, third),
                all_events(&user, first),
            )
        },
        produce
    );
    for seqs in [received.0, received.1, received.2, received.3] {
        assert_eq!(seqs, expected);
    }
}

async fn all_events(user: &User<'_>, transport: Transport) -> Vec<i64> {
    let mut watcher = user.watch(transport, None, None).await;
    let mut seqs = Vec::new();
    let snapshot = watcher.frame().await;
    let cursor = snapshot["cursor"].as_str().expect("a cursor");
    let (_, seen) = cursor.split_once(':').expect("epoch and seq");
    seqs.extend(1..=seen.parse::<i64>().expect("a seq"));
    while seqs.last() != Some(&EVENTS) {
        seqs.push(watcher.event().await["seq"].as_i64().expect("a seq"));
    }
    seqs
}
