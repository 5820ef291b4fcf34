//! `POST /auth/logout`: ends the current session.

use axum::Json;
use axum::extract::State;
use irisflow_messages::{Language, text};
use serde::Serialize;
use utoipa::ToSchema;

use super::CurrentUser;
use crate::app::App;
use crate::error::{ApiError, ErrorBody};

#[derive(Serialize, ToSchema)]
pub(crate) struct LogoutBody {
    message: String,
}

/// End the current session with its refresh tokens and sockets. No body is needed.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = LogoutBody), (status = 401, body = ErrorBody)))]
pub(crate) async fn logout(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<Json<LogoutBody>, ApiError> {
    app.parts
        .accounts
        .end_session(user.id(), user.session_id)
        .await?;
    Ok(Json(LogoutBody {
        message: text!("logged-out").in_language(Language::PROGRAM),
    }))
}
