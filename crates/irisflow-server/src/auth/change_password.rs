//! `PUT /users/me/password`

use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::PasswordChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::CurrentUser;
use super::passwords::check_strength;
use super::throttle::Caller;
use crate::app::App;
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangePasswordRequest {
    current_password: String,
    /// 8 characters or more, with upper case, lower case and a digit.
    #[schema(
        min_length = 8,
        max_length = 1024,
        pattern = "^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{8,1024}$"
    )]
    new_password: String,
}

/// Change your password. The current session stays open; all other sessions end. Of concurrent changes from the
/// same old password, only one succeeds.
#[utoipa::path(put, path = "/users/me/password", tag = "accounts", security(("bearer" = [])),
    request_body = ChangePasswordRequest,
    responses(
        (status = 204),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`wrong_password`", body = ErrorBody),
        (status = 409, description = "`password_changed`: another change came first", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "`too_many_attempts`; see Retry-After", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn change_password(
    State(app): State<App>,
    user: CurrentUser,
    client: ClientAddress,
    ApiJson(request): ApiJson<ChangePasswordRequest>,
) -> Result<StatusCode, ApiError> {
    check_strength("new_password", &request.new_password)?;
    // Rate limited by session, so that a stolen token cannot be used to guess the password.
    let caller = Caller::KnownDevice {
        device: user.session_id.into(),
        network: client.network(),
    };
    let attempt = app.throttle.begin(&user.account.email, caller).await?;
    let hash = Some(user.account.password_hash.clone());
    let verified = app.passwords.verify(request.current_password, hash, caller);
    match verified.await {
        Ok(true) => app.throttle.succeeded(&attempt).await,
        Ok(false) => return Err(ApiError::WrongPassword),
        Err(error) => {
            app.throttle.not_verified(&attempt).await;
            return Err(error);
        }
    }
    let change = PasswordChange {
        old_hash: user.account.password_hash.clone(),
        new_hash: app
            .passwords
            .hash(request.new_password, client.network())
            .await?,
    };
    let accounts = &app.parts.accounts;
    if !accounts
        .change_password(user.id(), change, user.session_id)
        .await?
    {
        return Err(ApiError::PasswordChanged);
    }
    tracing::info!(user_id = %user.id(), "password changed");
    Ok(StatusCode::NO_CONTENT)
}
