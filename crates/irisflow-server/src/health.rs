//! Liveness and readiness probes: `GET /health` and `GET /health/ready`.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, MonitoredParts};

/// How long the result of a readiness probe is cached.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// Timeout of one readiness probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Size of the file that a probe writes to the storage.
const PROBE_BYTES: usize = 4096;
/// Number of files that must still be possible to open.
const SPARE_DESCRIPTORS: usize = 16;

#[derive(Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// Always `ok`.
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ReadyBody {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Whether a row can be written: `ok`, `unavailable`, `damaged` or `low_space`.
    database: &'static str,
    /// Whether a file can be written: `ok`, `unavailable` or `low_space`.
    storage: &'static str,
    /// Whether more files and connections can be opened: `ok` or `exhausted`.
    descriptors: &'static str,
    /// `ok`, or `waiting` for the end of an outage.
    worker: &'static str,
    /// `ok`, or `away`: events of other servers and workers then come later, and the server is still ready.
    bus: &'static str,
}

/// Cache of the last readiness probe.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    last: tokio::sync::Mutex<Option<(Instant, ReadyBody)>>,
    /// Held while a probe writes, for long when the disk hangs.
    storage: Arc<tokio::sync::Mutex<()>>,
}

/// Liveness: the process answers.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = HealthBody)))]
pub(crate) async fn health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Readiness: a row and a file can be written, and disk space and file descriptors are left.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = ReadyBody), (status = 503, body = ReadyBody)))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<ReadyBody>) {
    let parts = app.parts.monitored();
    let probed = app.readiness.probed(&parts, app.settings.min_free_bytes);
    response(probed.await, app.draining.is_cancelled())
}

/// A draining process is not ready.
pub(crate) fn response(mut body: ReadyBody, is_draining: bool) -> (StatusCode, Json<ReadyBody>) {
    if is_draining {
        body.status = "not_ready";
    }
    let status = match body.status {
        "ready" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body))
}

impl Readiness {
    pub(crate) async fn probed(&self, parts: &MonitoredParts, min_free_bytes: u64) -> ReadyBody {
        let mut last = self.last.lock().await;
        match *last {
            Some((at, body)) if at.elapsed() < CACHE_TTL => body,
            _ => {
                let body = probe(self, parts, min_free_bytes).await;
                *last = Some((Instant::now(), body));
                body
            }
        }
    }
}

async fn probe(readiness: &Readiness, parts: &MonitoredParts, min_free_bytes: u64) -> ReadyBody {
    let (database, (storage, descriptors)) = tokio::join!(
        probe_database(parts, min_free_bytes),
        probe_files(readiness, parts, min_free_bytes),
    );
    let worker = match parts.bus.has_outage() {
        true => "waiting",
        false => "ok",
    };
    let bus = match parts.bus.is_connected() {
        true => "ok",
        false => "away",
    };
    let is_ready = [database, storage, descriptors, worker] == ["ok"; 4];
    ReadyBody {
        status: if is_ready { "ready" } else { "not_ready" },
        database,
        storage,
        descriptors,
        worker,
        bus,
    }
}

async fn probe_database(parts: &MonitoredParts, min_free_bytes: u64) -> &'static str {
    let probe = async {
        parts.health.check_writable().await?;
        parts.health.free_bytes().await
    };
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(free)) if free < min_free_bytes => "low_space",
        Ok(Ok(_)) => "ok",
        Ok(Err(StoreError::Damaged(_))) => "damaged",
        Ok(Err(_)) | Err(_) => "unavailable",
    }
}

async fn probe_files(
    readiness: &Readiness,
    parts: &MonitoredParts,
    min_free_bytes: u64,
) -> (&'static str, &'static str) {
    // A previous probe is still blocked, so that the storage is not available.
    let Ok(only_probe) = Arc::clone(&readiness.storage).try_lock_owned() else {
        return ("unavailable", "ok");
    };
    let files = Arc::clone(&parts.files);
    let probe = tokio::spawn(async move {
        let _only_probe = only_probe;
        let descriptors = match can_open_more_files() {
            true => "ok",
            false => "exhausted",
        };
        let probed = async {
            files.check_writable(PROBE_BYTES).await?;
            files.free_bytes().await
        };
        let storage = match probed.await {
            Ok(Some(free)) if free < min_free_bytes => "low_space",
            Ok(_) => "ok",
            Err(_) => "unavailable",
        };
        (storage, descriptors)
    });
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => ("unavailable", "ok"),
    }
}

fn can_open_more_files() -> bool {
    if cfg!(not(unix)) {
        return true;
    }
    let opened: Result<Vec<File>, _> = (0..SPARE_DESCRIPTORS)
        .map(|_| File::open("/dev/null"))
        .collect();
    opened.is_ok()
}
