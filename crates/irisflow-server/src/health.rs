//! `GET /health` and `GET /health/ready`

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, ServerParts};

/// What was found is good for so long, however many ask.
const LIFE: Duration = Duration::from_secs(1);
/// What takes longer to answer is not available.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes written to the storage by each probe.
const PROBE_BYTES: usize = 4096;
/// As many more files must be opened.
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
}

/// What was found at the last look.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    last: tokio::sync::Mutex<Option<(Instant, ReadyBody)>>,
    /// Held by the thread that writes, which a hanging disk may keep for long.
    storage: Arc<Mutex<()>>,
}

/// The process lives.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = HealthBody)))]
pub(crate) async fn health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// The process and what it depends on can serve: a row and a file were written, and there is room.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = ReadyBody), (status = 503, body = ReadyBody)))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<ReadyBody>) {
    let mut body = {
        let mut last = app.readiness.last.lock().await;
        match *last {
            Some((at, body)) if at.elapsed() < LIFE => body,
            _ => {
                let body = look(&app.readiness, &app.parts, app.settings.min_free_bytes).await;
                *last = Some((Instant::now(), body));
                body
            }
        }
    };
    if app.draining.is_cancelled() {
        body.status = "not_ready";
    }
    let status = match body.status {
        "ready" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body))
}

async fn look(readiness: &Readiness, parts: &ServerParts, min_free_bytes: u64) -> ReadyBody {
    let (database, (storage, descriptors)) = tokio::join!(
        look_at_database(parts, min_free_bytes),
        look_at_files(readiness, parts, min_free_bytes),
    );
    let worker = match parts.bus.has_outage() {
        true => "waiting",
        false => "ok",
    };
    let is_ready = [database, storage, descriptors, worker] == ["ok"; 4];
    ReadyBody {
        status: if is_ready { "ready" } else { "not_ready" },
        database,
        storage,
        descriptors,
        worker,
    }
}

async fn look_at_database(parts: &ServerParts, min_free_bytes: u64) -> &'static str {
    let looked = async {
        parts.health.check_writable().await?;
        parts.health.free_bytes().await
    };
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(free)) if free < min_free_bytes => "low_space",
        Ok(Ok(_)) => "ok",
        Ok(Err(StoreError::Damaged(_))) => "damaged",
        Ok(Err(_)) | Err(_) => "unavailable",
    }
}

async fn look_at_files(
    readiness: &Readiness,
    parts: &ServerParts,
    min_free_bytes: u64,
) -> (&'static str, &'static str) {
    let (alone, files) = (Arc::clone(&readiness.storage), parts.files.clone());
    let looked = tokio::task::spawn_blocking(move || {
        // An earlier look that has not come back says enough.
        let Ok(_alone) = alone.try_lock() else {
            return ("unavailable", "ok");
        };
        let descriptors = match can_open_more_files() {
            true => "ok",
            false => "exhausted",
        };
        let written = files.check_writable(PROBE_BYTES);
        let storage = match written.and_then(|()| files.free_bytes()) {
            Ok(free) if free < min_free_bytes => "low_space",
            Ok(_) => "ok",
            Err(_) => "unavailable",
        };
        (storage, descriptors)
    });
    match tokio::time::timeout(PATIENCE, looked).await {
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
