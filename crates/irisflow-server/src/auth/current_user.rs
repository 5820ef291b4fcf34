//! Who a request comes from.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use irisflow_jobs::{Account, SessionId, UserId};

use super::tokens::TokenError;
use crate::app::{App, AppState};
use crate::error::ApiError;

/// The holder of a valid access token whose session lives.
#[derive(Debug)]
pub(crate) struct CurrentUser {
    pub(crate) account: Account,
    pub(crate) session_id: SessionId,
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
    /// Checks an access token down to its session and account.
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
        })
    }
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let header = parts
            .headers
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
