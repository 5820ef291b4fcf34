//! Load generation: concurrent requests, response counts by status, and latencies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use reqwest::Response;

/// Number of responses by HTTP status; a failure without a response counts as status 0.
#[derive(Debug, Default, Clone)]
pub(super) struct StatusCounts {
    by_status: BTreeMap<u16, usize>,
}

impl StatusCounts {
    pub(super) fn add(&mut self, status: u16) {
        *self.by_status.entry(status).or_default() += 1;
    }

    pub(super) fn with(&self, status: u16) -> usize {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    pub(super) fn count(&self, wanted: impl Fn(u16) -> bool) -> usize {
        let wanted = self.by_status.iter().filter(|(status, _)| wanted(**status));
        wanted.map(|(_, count)| count).sum()
    }

    /// Broken connections, and 5xx other than 503.
    pub(super) fn errors(&self) -> usize {
        self.count(|status| status == 0 || (status >= 500 && status != 503))
    }
}

impl std::fmt::Display for StatusCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self
            .by_status
            .iter()
            .map(|(status, count)| match status {
                0 => format!("{count} without an answer"),
                status => format!("{count} x {status}"),
            })
            .collect();
        f.write_str(&parts.join(", "))
    }
}

pub(super) fn status_of(answer: &Result<Response, reqwest::Error>) -> u16 {
    answer.as_ref().map_or(0, |answer| answer.status().as_u16())
}

/// Sends all requests, at most `at_once` concurrently, for at most `time`.
pub(super) async fn send_concurrently(
    requests: impl Iterator<Item = reqwest::RequestBuilder>,
    at_once: usize,
    time: Duration,
) -> StatusCounts {
    let mut answers = StatusCounts::default();
    let all = async {
        let mut stream = stream::iter(requests)
            .map(async |request| {
                let answer = request.send().await;
                let status = status_of(&answer);
                // Read the body, as a client does.
                if let Ok(answer) = answer {
                    let _ = answer.bytes().await;
                }
                status
            })
            .buffer_unordered(at_once);
        while let Some(status) = stream.next().await {
            answers.add(status);
        }
    };
    let _ = tokio::time::timeout(time, all).await;
    answers
}

/// Response times.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    times: Vec<Duration>,
}

impl Latencies {
    pub(super) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// Measures health checks repeatedly while `during` runs; a failed one counts as 10 s. Also returns
    /// the output of `during`.
    pub(super) async fn of_health_while<T>(
        client: &reqwest::Client,
        url: &str,
        during: impl Future<Output = T>,
    ) -> (Self, T) {
        let latencies = std::cell::RefCell::new(Self::default());
        let ask = async {
            loop {
                let begun = Instant::now();
                let request = client.get(format!("{url}/health"));
                let answer = request.timeout(Duration::from_secs(10)).send().await;
                let well = answer.is_ok_and(|answer| answer.status().is_success());
                let took = if well {
                    begun.elapsed()
                } else {
                    Duration::from_secs(10)
                };
                latencies.borrow_mut().add(took);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let result = {
            let (mut ask, mut during) = (std::pin::pin!(ask), std::pin::pin!(during));
            tokio::select! {
                result = &mut during => result,
                () = &mut ask => during.await,
            }
        };
        (latencies.into_inner(), result)
    }

    pub(super) fn median_ms(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort();
        times.get(times.len() / 2).map_or(0.0, |time| millis(*time))
    }

    pub(super) fn longest_ms(&self) -> f64 {
        self.times.iter().max().map_or(0.0, |time| millis(*time))
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round()
}
