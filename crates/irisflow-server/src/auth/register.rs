//! `POST /auth/register`: creates an account.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{Account, NewAccount, UserId};
use irisflow_messages::text;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::passwords::check_strength;
use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;
use crate::settings::Registration;

#[derive(Deserialize, ToSchema)]
pub(crate) struct RegisterRequest {
    #[schema(
        example = "you@example.com",
        max_length = 254,
        pattern = r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f.][^@\s\x00-\x1f\x7f-\x9f]*\.[^@\s\x00-\x1f\x7f-\x9f.]+$"
    )]
    email: String,
    /// 8 characters or more, with upper case, lower case and a digit.
    #[schema(
        min_length = 8,
        max_length = 1024,
        pattern = "^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{8,1024}$"
    )]
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    id: String,
    email: String,
    is_active: bool,
    is_verified: bool,
    is_admin: bool,
    /// RFC 3339, UTC.
    created_at: String,
}

impl From<&Account> for UserBody {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            email: account.email.clone(),
            is_active: account.is_active,
            is_verified: account.is_verified,
            is_admin: account.is_admin,
            created_at: account.created_at.to_rfc3339(),
        }
    }
}

/// Create an account.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = RegisterRequest,
    responses(
        (status = 201, body = UserBody),
        (status = 403, description = "Registration is closed", body = ErrorBody),
        (status = 409, description = "The address is taken", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "`too_many_registrations`; see Retry-After", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`; see Retry-After", body = ErrorBody),
    ))]
pub(crate) async fn register(
    State(app): State<App>,
    client: ClientAddress,
    ApiJson(request): ApiJson<RegisterRequest>,
) -> Result<(StatusCode, Json<UserBody>), ApiError> {
    if app.settings.registration == Registration::Closed {
        return Err(ApiError::RegistrationClosed);
    }
    let email = parse_email(&request.email)
        .ok_or_else(|| ApiError::invalid_field("email", text!("invalid-email")))?;
    check_strength("password", &request.password)?;
    let network = client.network();
    app.throttle.register(network).await?;
    match app.add_account(email, request.password, network).await {
        Ok(Some(account)) => {
            tracing::info!(user_id = %account.id, "account created");
            Ok((StatusCode::CREATED, Json(UserBody::from(&account))))
        }
        Ok(None) => Err(ApiError::EmailTaken),
        Err(error) => {
            app.throttle.registration_failed(network).await;
            Err(error)
        }
    }
}

impl AppState {
    /// `None` when the address is taken.
    async fn add_account(
        &self,
        email: String,
        password: String,
        network: IpAddr,
    ) -> Result<Option<Account>, ApiError> {
        let accounts = &self.parts.accounts;
        if accounts.account_by_email(&email).await?.is_some() {
            return Ok(None);
        }
        let new = NewAccount {
            id: UserId::generate(),
            email,
            password_hash: self.passwords.hash(password, network).await?,
        };
        Ok(accounts.add_account(new).await?)
    }
}

/// Maximum length of an email address in bytes (RFC 5321).
pub(crate) const MAX_EMAIL_BYTES: usize = 254;

/// Checks the form of an email address and returns it in lower case. Only a message that arrives could prove that
/// the address exists.
pub fn parse_email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let is_well_formed = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !host.contains('@')
    });
    let is_allowed = email.len() <= MAX_EMAIL_BYTES
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_well_formed && is_allowed).then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_lower_case() {
        assert_eq!(
            parse_email(" You@Example.COM ").as_deref(),
            Some("you@example.com")
        );
    }

    #[test]
    fn malformed_addresses_are_rejected() {
        for text in [
            "",
            "you",
            "you@",
            "@host.com",
            "a b@host.com",
            "you@host",
            "you@@host.com",
        ] {
            assert_eq!(parse_email(text), None, "{text:?}");
        }
    }
}
