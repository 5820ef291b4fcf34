//! `GET /users/me/sessions`: lists the sessions of an account.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::CurrentUser;
use crate::app::App;
use crate::error::{ApiError, ErrorBody};

#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// Newest first.
    items: Vec<SessionBody>,
}

/// A session of a signed-in device.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody {
    id: String,
    /// `User-Agent` of the device when it signed in.
    device: Option<String>,
    /// Whether this is the session of the request.
    is_current: bool,
    /// RFC 3339, UTC, as all times here.
    created_at: String,
    last_used_at: String,
    expires_at: String,
}

/// List your sessions.
#[utoipa::path(get, path = "/users/me/sessions", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = SessionList), (status = 401, body = ErrorBody)))]
pub(crate) async fn sessions(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<SessionList>, ApiError> {
    let sessions = app.parts.accounts.sessions(user.id()).await?;
    let items = sessions.into_iter().map(|session| SessionBody {
        id: session.id.to_string(),
        is_current: session.id == user.session_id,
        device: session.device,
        created_at: session.created_at.to_rfc3339(),
        last_used_at: session.last_used_at.to_rfc3339(),
        expires_at: session.expires_at.to_rfc3339(),
    });
    Ok(Json(SessionList {
        items: items.collect(),
    }))
}
