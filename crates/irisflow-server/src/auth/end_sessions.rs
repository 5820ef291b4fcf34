//! `DELETE /users/me/sessions` and `DELETE /users/me/sessions/{id}`: end all other sessions, or one. The sockets of an
//! ended session are closed at once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::CurrentUser;
use crate::app::App;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSessions {
    /// Number of sessions that were ended.
    ended: u64,
}

/// End all sessions except the current one.
#[utoipa::path(delete, path = "/users/me/sessions", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = EndedSessions), (status = 401, body = ErrorBody)))]
pub(crate) async fn end_other_sessions(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<EndedSessions>, ApiError> {
    let accounts = &app.parts.accounts;
    let ended = accounts
        .end_other_sessions(user.id(), user.session_id)
        .await?;
    Ok(Json(EndedSessions { ended }))
}

/// End one session.
#[utoipa::path(delete, path = "/users/me/sessions/{id}", tag = "accounts",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn end_session(
    State(app): State<App>,
    user: CurrentUser,
    PathId(session_id): PathId<SessionId>,
) -> Result<StatusCode, ApiError> {
    if app
        .parts
        .accounts
        .end_session(user.id(), session_id)
        .await?
    {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound(Missing::Session))
    }
}
