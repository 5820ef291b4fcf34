//! Client disconnects: every kind of state-changing request is sent, and its connection closed before,
//! during or after the commit, where the server pauses. Afterwards the client checks the outcome over the
//! API; at the end database and storage must be consistent.

mod api_client;
mod consistency;
mod raw_request;
mod request_kind;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::fault::InjectionPoint;
use super::matrix_cell::{MatrixCell, MatrixConfig};
use super::outcome_counts::OutcomeCounts;
use super::server_process::Server;
use super::test_users::GOOD_EYES;
use api_client::{Account, ApiClient};
use consistency::ConsistencyReport;
use raw_request::Disconnect;
use request_kind::{PreparedRequest, RequestKind};

/// Validity of upload URLs, and time limit of an upload: short, so that unconfirmed uploads are swept
/// within the run.
const UPLOAD_MS: u64 = 6_000;

pub(super) async fn run(
    cell: MatrixCell,
    matrix: &MatrixConfig,
    folder: &Path,
) -> anyhow::Result<OutcomeCounts> {
    let mut config = cell.config(matrix, folder);
    config.settings.extend([
        ("IRISFLOW_UPLOAD_URL_MS", UPLOAD_MS.to_string()),
        ("IRISFLOW_UPLOAD_LIMIT_MS", UPLOAD_MS.to_string()),
        // Each request has its own X-Forwarded-For address, so that no per-address limit applies.
        ("IRISFLOW_TRUSTED_PROXIES", "1".to_owned()),
    ]);
    let server = Server::start(&config, "127.0.0.1:0").await?;
    let photo = std::fs::read(matrix.photos.join(GOOD_EYES[0])).context("a photo")?;
    let client = ApiClient::new(&server.address, &config.data, photo)?;
    let mut run = Run {
        random: cell.random(matrix.seed),
        client,
        unanswered: 0,
        not_woken: 0,
        violations: Vec::new(),
    };
    let kinds = kinds_at(cell.point, matrix);
    for _ in 0..matrix.repetitions.div_ceil(3) {
        run.round(&kinds).await?;
    }
    consistency::settle(&config.data, Duration::from_millis(UPLOAD_MS * 2)).await?;
    server.stop().await?;
    let report = ConsistencyReport::read(&config.data).await?;
    Ok(run.counts(&report))
}

/// All kinds of request; in a small run each kind at one of the three injection points, chosen by the seed.
fn kinds_at(point: InjectionPoint, matrix: &MatrixConfig) -> Vec<RequestKind> {
    let third = match point {
        InjectionPoint::BeforeCommit => 0,
        InjectionPoint::DuringCommit => 1,
        _ => 2,
    };
    let numbered = (matrix.seed % 3..).zip(RequestKind::ALL);
    let is_small = matrix.repetitions < SMALL;
    numbered
        .filter(|(number, _)| !is_small || number % 3 == third)
        .map(|(_, kind)| kind)
        .collect()
}

/// A run with fewer repetitions is a small one.
const SMALL: usize = 10;

struct Run {
    client: ApiClient,
    random: StdRng,
    unanswered: usize,
    /// Queued jobs that no worker claimed although it was idle (lost wake-ups).
    not_woken: usize,
    /// Descriptions of requests that were only half executed.
    violations: Vec<String>,
}

/// Far above the latency of a wake-up, and well below the workers' poll interval.
const WOKEN_WITHIN: Duration = Duration::from_millis(1_000);

impl Run {
    async fn round(&mut self, kinds: &[RequestKind]) -> anyhow::Result<()> {
        let account = self.client.account().await?;
        for &kind in kinds {
            let took = self.measure_duration(kind, &account).await?;
            self.hang_up(kind, &account, took).await?;
        }
        Ok(())
    }

    /// Duration of the request without a disconnect.
    async fn measure_duration(
        &mut self,
        kind: RequestKind,
        account: &Account,
    ) -> anyhow::Result<Duration> {
        let prepared = kind.prepare(&mut self.client, account).await?;
        let begun = Instant::now();
        let response = prepared.request.send(&self.client.address).await?;
        let took = begun.elapsed();
        anyhow::ensure!(
            (200..300).contains(&response),
            "{kind:?}: answered {response}"
        );
        self.client.wait_until_idle().await?;
        Ok(took)
    }

    async fn hang_up(
        &mut self,
        kind: RequestKind,
        account: &Account,
        took: Duration,
    ) -> anyhow::Result<()> {
        let prepared = kind.prepare(&mut self.client, account).await?;
        let disconnect = Disconnect {
            after: took.mul_f64(self.random.random_range(0.0..1.05)),
            body_share: if self.random.random_bool(0.1) {
                self.random.random_range(0.0..1.0)
            } else {
                1.0
            },
            by_reset: self.random.random(),
        };
        let answered = prepared
            .request
            .hang_up(&self.client.address, disconnect)
            .await?;
        if !answered {
            self.unanswered += 1;
        }
        if kind.queues_jobs() {
            self.check_wake_up(&prepared).await?;
        }
        let half_executed = kind.check_outcome(&mut self.client, &prepared).await;
        let describe =
            |what: String| format!("{kind:?} hung up after {:?}: {what}", disconnect.after);
        match half_executed.with_context(|| format!("{kind:?}: checking the outcome")) {
            Ok(None) => {}
            Ok(Some(what)) => self.violations.push(describe(what)),
            Err(error) => self.violations.push(describe(format!("{error:#}"))),
        }
        self.client.wait_until_idle().await
    }

    /// Checks that a queued job is started without waiting for a poll, since no other job runs.
    async fn check_wake_up(&mut self, prepared: &PreparedRequest) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < WOKEN_WITHIN {
            tokio::time::sleep(Duration::from_millis(25)).await;
            if self.client.has_begun(&prepared.photo_id).await? {
                return Ok(());
            }
        }
        if self.client.is_queued(&prepared.photo_id).await? {
            self.not_woken += 1;
            println!("hang_up: a queued job has woken no worker");
        }
        Ok(())
    }

    fn counts(self, report: &ConsistencyReport) -> OutcomeCounts {
        for violation in self.violations.iter().chain(&report.violations) {
            println!("hang_up: {violation}");
        }
        let mut counts = report.count_outcomes(&self.client.submitted_once);
        counts.injected = self.unanswered;
        counts.lost += self.violations.len();
        counts.stuck += self.not_woken;
        counts
    }
}
