//! `POST /auth/refresh`: rotation of refresh tokens with detection of reuse. The rule of reuse is in
//! `AccountStore::rotate_refresh`.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::RefreshOutcome;
use serde::Deserialize;
use utoipa::ToSchema;

use super::tokens::{TokenPair, Tokens};
use crate::app::App;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshRequest {
    refresh_token: String,
}

/// Exchange a refresh token for a new pair of tokens. The old one is then used up: for 30 s it still returns the
/// same new pair, and after that its reuse ends the whole session.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", request_body = RefreshRequest,
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn refresh(
    State(app): State<App>,
    ApiJson(request): ApiJson<RefreshRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    let successor = app.tokens.successor_of(&request.refresh_token);
    let outcome = app
        .parts
        .accounts
        .rotate_refresh(
            Tokens::hash_of(&request.refresh_token),
            Tokens::hash_of(&successor),
            app.settings.refresh_grace,
            app.now() + app.settings.refresh_token_life,
        )
        .await?;
    match outcome {
        RefreshOutcome::Rotated(live) if live.account.is_active => app
            .token_pair(live.account.id, live.session.id, successor)
            .map(Json),
        RefreshOutcome::Rotated(_) => Err(ApiError::AccountInactive),
        RefreshOutcome::ReuseDetected(user_id) => {
            tracing::warn!(%user_id, "a refresh token was reused; its session was ended");
            Err(ApiError::InvalidToken)
        }
        RefreshOutcome::Unknown => Err(ApiError::InvalidToken),
    }
}
