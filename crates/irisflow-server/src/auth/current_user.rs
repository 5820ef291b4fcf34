//! Authentication: extractor of the account and session from the bearer token of a request.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use irisflow_jobs::{Account, SessionId, Timestamp, UserId};

use super::tokens::TokenError;
use crate::app::{App, AppState};
use crate::error::ApiError;

/// The account and session of a valid access token.
#[derive(Debug)]
pub(crate) struct CurrentUser {
    pub(crate) account: Account,
    pub(crate) session_id: SessionId,
    /// When the access token expires.
    pub(crate) expires_at: Timestamp,
}

impl CurrentUser {
    pub(crate) fn id(&self) -> UserId {
        self.account.id
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Self::InvalidToken,
            TokenError::Expired => Self::TokenExpired,
        }
    }
}

impl AppState {
    /// Verifies an access token, and that its session exists and its account is active.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<CurrentUser, ApiError> {
        let claims = self.tokens.check_access(token)?;
        let Some(live) = self.parts.accounts.session(claims.sid).await? else {
            return Err(ApiError::InvalidToken);
        };
        if live.account.id != claims.user_id {
            return Err(ApiError::InvalidToken);
        }
        if !live.account.is_active {
            return Err(ApiError::AccountInactive);
        }
        Ok(CurrentUser {
            account: live.account,
            session_id: claims.sid,
            expires_at: claims.expires_at(),
        })
    }
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Self::of_bearer(app, &parts.headers).await
    }
}

impl CurrentUser {
    /// From the bearer token of a request, which counts against the rate limit of its user.
    pub(crate) async fn of_bearer(app: &AppState, headers: &HeaderMap) -> Result<Self, ApiError> {
        let header = headers
            .get(AUTHORIZATION)
            .ok_or(ApiError::NotAuthenticated)?;
        let header = header.to_str().map_err(|_| ApiError::InvalidToken)?;
        let (scheme, token) = header.split_once(' ').ok_or(ApiError::NotAuthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::NotAuthenticated);
        }
        let user = app.authenticate(token.trim()).await?;
        app.check_user_rate(user.id())?;
        Ok(user)
    }
}
