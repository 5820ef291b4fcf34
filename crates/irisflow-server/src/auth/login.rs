//! `POST /auth/login/json` and `POST /auth/login` (form): the same sign-in with two kinds of body. Its rate limits are
//! in `throttle.rs`.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::AppendHeaders;
use irisflow_jobs::{Account, NewSession, Session, SessionId};
use irisflow_messages::text;
use serde::Deserialize;
use utoipa::ToSchema;

use super::register::MAX_EMAIL_BYTES;
use super::throttle::Caller;
use super::tokens::{TokenPair, Tokens};
use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

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
        (status = 429, description = "`too_many_attempts`; see Retry-After", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn login_json(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
    ApiJson(request): ApiJson<LoginRequest>,
) -> Result<SignedIn, ApiError> {
    let credentials = (request.email.as_str(), request.password);
    sign_in(&app, client, &headers, "email", credentials).await
}

/// Sign in with a form, as OAuth 2 password clients do.
#[utoipa::path(post, path = "/auth/login", tag = "accounts",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ErrorBody),
        (status = 403, description = "The account is inactive", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "`too_many_attempts`; see Retry-After", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn login_form(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<SignedIn, ApiError> {
    let Form(form) = form.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::JsonTooLarge,
        _ => ApiError::unparsed("body", rejection.body_text(), "value_error"),
    })?;
    let credentials = (form.username.as_str(), form.password);
    sign_in(&app, client, &headers, "username", credentials).await
}

/// Both tokens, and the device cookie.
type SignedIn = (
    AppendHeaders<Option<(HeaderName, HeaderValue)>>,
    Json<TokenPair>,
);

async fn sign_in(
    app: &AppState,
    client: ClientAddress,
    headers: &HeaderMap,
    email_field: &str,
    (email, password): (&str, String),
) -> Result<SignedIn, ApiError> {
    let email = email.trim();
    if email.len() > MAX_EMAIL_BYTES {
        let text = text!("invalid-email-too-long", limit = MAX_EMAIL_BYTES);
        return Err(ApiError::invalid_field(email_field, text));
    }
    let email = email.to_lowercase();
    let device = app.devices.recognise(headers, &email, app.now());
    let network = client.network();
    let caller = match device {
        Some(device) => Caller::KnownDevice { device, network },
        None => Caller::UnknownDevice { network },
    };
    let account = app.verified_account(&email, password, caller).await?;
    if !account.is_active {
        return Err(ApiError::AccountInactive);
    }
    let tokens = app.open_session(account, headers).await?;
    let cookie = app
        .devices
        .cookie(device, &email, app.now(), app.settings.is_https());
    let cookie = cookie.map(|cookie| (header::SET_COOKIE, cookie));
    Ok((AppendHeaders(cookie), Json(tokens)))
}

/// The first 200 characters of `User-Agent`, shown in the list of sessions.
fn device_of(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().take(200).collect())
}

impl AppState {
    /// Verifies the password and returns the account. Counts as an attempt to sign in.
    async fn verified_account(
        &self,
        email: &str,
        password: String,
        caller: Caller,
    ) -> Result<Account, ApiError> {
        let attempt = self.throttle.begin(email, caller).await?;
        let verified = async {
            let account = self.parts.accounts.account_by_email(email).await?;
            let hash = account
                .as_ref()
                .map(|account| account.password_hash.clone());
            let is_right = self.passwords.verify(password, hash, caller).await?;
            Ok::<_, ApiError>(account.filter(|_| is_right))
        };
        match verified.await {
            Ok(Some(account)) => {
                self.throttle.succeeded(&attempt).await;
                Ok(account)
            }
            Ok(None) => Err(ApiError::WrongCredentials),
            Err(error) => {
                self.throttle.not_verified(&attempt).await;
                Err(error)
            }
        }
    }

    async fn open_session(
        &self,
        account: Account,
        headers: &HeaderMap,
    ) -> Result<TokenPair, ApiError> {
        let now = self.now();
        let session = Session {
            id: SessionId::generate(),
            user_id: account.id,
            created_at: now,
            expires_at: now + self.settings.refresh_token_life,
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
        // Fails when the password was changed or the account disabled while the password was verified.
        if !self.parts.accounts.add_session(new).await? {
            return Err(ApiError::WrongCredentials);
        }
        self.token_pair(account.id, session_id, refresh_token)
    }

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
