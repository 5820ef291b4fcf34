//! `GET /health` and `GET /health/ready`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

#[derive(Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// Always `ok`.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ReadyBody {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// `ok` or what is wrong.
    database: &'static str,
    storage: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = HealthBody)))]
pub(crate) async fn health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// The process and what it depends on can serve.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = ReadyBody), (status = 503, body = ReadyBody)))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<ReadyBody>) {
    let database = app
        .parts
        .timeline
        .last_seqs(&[irisflow_jobs::UserId::generate()])
        .await;
    let files = app.parts.files.clone();
    let storage = tokio::task::spawn_blocking(move || files.check_writable()).await;
    let word = |works: bool| if works { "ok" } else { "unavailable" };
    let (database, storage) = (database.is_ok(), matches!(storage, Ok(Ok(()))));
    let draining = app.draining.is_cancelled();
    let ready = database && storage && !draining;
    let body = ReadyBody {
        status: if ready { "ready" } else { "not_ready" },
        database: word(database),
        storage: word(storage),
    };
    (
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(body),
    )
}
