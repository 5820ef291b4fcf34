//! `POST /auth/login/json` and `POST /auth/login` (form): the same sign-in, two kinds of body.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use irisflow_jobs::{NewSession, Session, SessionId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::tokens::{TokenPair, Tokens};
use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginRequest {
    email: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginForm {
    /// The email address.
    username: String,
    password: String,
}

/// Sign in.
#[utoipa::path(post, path = "/auth/login/json", tag = "accounts", request_body = LoginRequest,
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ErrorBody),
        (status = 403, description = "The account is inactive", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "Too many failures; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn login_json(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
    ApiJson(request): ApiJson<LoginRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    let credentials = (request.email.as_str(), request.password);
    sign_in(&app, client, &headers, credentials).await
}

/// Sign in with a form, as OAuth 2 password clients do.
#[utoipa::path(post, path = "/auth/login", tag = "accounts",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ErrorBody),
        (status = 403, description = "The account is inactive", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "Too many failures; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn login_form(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<Json<TokenPair>, ApiError> {
    let Form(form) = form.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::JsonTooLarge,
        _ => ApiError::Invalid {
            loc: vec!["body".to_owned()],
            msg: rejection.body_text(),
            kind: "value_error",
        },
    })?;
    let credentials = (form.username.as_str(), form.password);
    sign_in(&app, client, &headers, credentials).await
}

async fn sign_in(
    app: &AppState,
    client: ClientAddress,
    headers: &HeaderMap,
    (email, password): (&str, String),
) -> Result<Json<TokenPair>, ApiError> {
    let email = email.trim().to_lowercase();
    let login = app.throttle.begin(&email, client.ip)?;
    let account = app.parts.accounts.account_by_email(&email).await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.clone());
    let known = app.passwords.verify(password, hash).await?;
    let Some(account) = account.filter(|_| known) else {
        return Err(ApiError::WrongCredentials);
    };
    app.throttle.forgive(&login);
    if !account.is_active {
        return Err(ApiError::AccountInactive);
    }
    let now = app.now();
    let session = Session {
        id: SessionId::generate(),
        user_id: account.id,
        created_at: now,
        expires_at: now + app.settings.refresh_token_life,
        last_used_at: now,
        device: device_of(headers),
    };
    let session_id = session.id;
    let refresh_token = Tokens::new_refresh_token();
    let new = NewSession {
        session,
        refresh_hash: Tokens::hash_of(&refresh_token),
        password_hash: account.password_hash,
    };
    // The password may have been changed, or the account disabled, while this one was verified.
    if !app.parts.accounts.add_session(new).await? {
        return Err(ApiError::WrongCredentials);
    }
    app.token_pair(account.id, session_id, refresh_token)
        .map(Json)
}

/// What the client calls itself.
fn device_of(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().take(200).collect())
}

impl AppState {
    pub(crate) fn token_pair(
        &self,
        user_id: irisflow_jobs::UserId,
        session_id: SessionId,
        refresh_token: String,
    ) -> Result<TokenPair, ApiError> {
        let access_token = self
            .tokens
            .access_token(user_id, session_id)
            .map_err(|error| {
                tracing::error!(%error, "could not sign a token");
                ApiError::Internal
            })?;
        Ok(TokenPair {
            access_token,
            refresh_token,
            token_type: "bearer",
        })
    }
}
