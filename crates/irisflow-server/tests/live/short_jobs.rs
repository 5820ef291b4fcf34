//! Jobs that end at once. `IRISFLOW_SHORT_JOBS` sets another number of them for each transport, for a full run.

use futures_util::{StreamExt as _, stream};
use irisflow_jobs::JobId;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::site::{Site, Transport, User, Watcher};

const JOBS: usize = 500;
const AT_ONCE: usize = 32;

#[expect(clippy::disallowed_methods, reason = "for a full run")]
fn jobs_of_each_transport() -> usize {
    let wanted = std::env::var("IRISFLOW_SHORT_JOBS").ok();
    wanted.map_or(JOBS, |wanted| wanted.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_end_at_once_are_seen_to_end_over_each_transport() {
    let site = Site::start().await;
    let user = &site.user("you").await;
    let count = jobs_of_each_transport();
    for transport in Transport::ALL {
        let jobs = stream::iter(0..count).map(async |_| {
            let job_id = user.submit().await;
            let watch = async {
                let watcher = user.watch(transport, None, Some(job_id)).await;
                until_cancelled(watcher, job_id).await;
            };
            tokio::join!(watch, user.cancel(job_id));
        });
        assert_eq!(jobs.buffer_unordered(AT_ONCE).count().await, count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_end_at_once_are_seen_to_end_on_their_own_socket() {
    let site = Site::start().await;
    let user = &site.user("you").await;
    let count = jobs_of_each_transport();
    let jobs = stream::iter(0..count).map(async |_| {
        let job_id = user.submit().await;
        tokio::join!(until_own_socket_ends(user, job_id), user.cancel(job_id));
    });
    assert_eq!(jobs.buffer_unordered(AT_ONCE).count().await, count);
}

async fn until_cancelled(mut watcher: Watcher<'_>, job_id: JobId) {
    let id = Value::from(job_id.to_string());
    loop {
        let frame = watcher.frame().await;
        let states = match frame["type"].as_str() {
            Some("snapshot") => frame["jobs"].as_array().cloned().unwrap_or_default(),
            Some("event") => vec![frame["event"].clone()],
            _ => Vec::new(),
        };
        let is_end = |state: &Value| state["job_id"] == id && state["status"] == "cancelled";
        if states.iter().any(is_end) {
            return;
        }
    }
}

async fn until_own_socket_ends(user: &User<'_>, job_id: JobId) {
    let (address, token) = (user.site.address, &user.token);
    let url = format!("ws://{address}/ws/jobs/{job_id}?token={token}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a socket");
    let mut last = String::new();
    while let Some(message) = socket.next().await {
        match message.expect("the socket is open") {
            Message::Text(text) => last = text.to_string(),
            Message::Close(_) => break,
            _ => {}
        }
    }
    assert!(last.contains(r#""code":"cancelled""#), "{last}");
}
