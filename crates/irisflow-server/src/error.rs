//! The one table from what goes wrong to HTTP status, code and sentence.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use irisflow_image::rejection::{Rejection, RejectionCode};
use irisflow_jobs::{MOST_CONSENTS, StoreError};
use irisflow_photos::StorageError;
use serde::Serialize;
use utoipa::ToSchema;

/// An error as it is sent: `{"detail": "...", "code": "..."}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A sentence for people.
    detail: String,
    /// A stable name for programs.
    code: String,
    /// One thing to do; null where there is none.
    suggestion: Option<String>,
}

/// A body or query that does not fit the description.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationBody {
    detail: Vec<ValidationIssue>,
    code: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationIssue {
    /// Where: `["body", "password"]`.
    loc: Vec<String>,
    msg: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug)]
pub(crate) enum ApiError {
    NotAuthenticated,
    InvalidToken,
    TokenExpired,
    WrongCredentials,
    AccountInactive,
    RegistrationClosed,
    EmailTaken,
    WrongPassword,
    ConfirmationMissing,
    ConsentRequired,
    PhotoExpired,
    TooManyAttempts {
        limit: u32,
        interval: Duration,
        retry_after_s: u64,
    },
    TooManyRegistrations {
        whose: &'static str,
        limit: u32,
        interval: Duration,
        retry_after_s: u64,
    },
    /// A queue of work is full.
    Busy {
        what: &'static str,
        retry_after_s: u64,
    },
    RateLimited {
        whose: &'static str,
        per_second: u32,
        retry_after_s: u64,
    },
    QueueFull {
        whose: &'static str,
        limit: u64,
        retry_after_s: u64,
    },
    StorageFull {
        limit_bytes: u64,
    },
    TooManySockets {
        whose: &'static str,
        limit: usize,
    },
    TooManyTransfers {
        whose: &'static str,
        limit: usize,
    },
    TooManyUnconfirmed {
        limit: u64,
        retry_after_s: u64,
    },
    NotFound(&'static str),
    NotUploaded,
    TakenInBefore,
    NoValidPhotos,
    IdempotencyKeyTaken,
    LinkExpired,
    LinkForged,
    TypeDiffers {
        expected: String,
    },
    BodyTooLarge {
        limit_bytes: u64,
    },
    JsonTooLarge,
    BodyTooSlow,
    TookTooLong,
    MetricsForbidden,
    RangeNotSatisfiable {
        size_bytes: u64,
    },
    Photo(Rejection),
    Invalid {
        loc: Vec<String>,
        msg: String,
        kind: &'static str,
    },
    Unavailable,
    Conflict,
    TooManyConsents,
    PasswordChanged,
    Internal,
}

/// When what is full is worth another try.
const BUSY_RETRY_S: u64 = 5;

impl ApiError {
    /// The sentence for people.
    pub(crate) fn detail(&self) -> String {
        self.parts().2
    }

    /// A field of the JSON body that does not fit.
    pub(crate) fn invalid_field(field: &str, msg: impl Into<String>) -> Self {
        let loc = vec!["body".to_owned(), field.to_owned()];
        Self::Invalid {
            loc,
            msg: msg.into(),
            kind: "value_error",
        }
    }

    fn parts(&self) -> (StatusCode, &str, String) {
        use StatusCode as S;
        match self {
            Self::NotAuthenticated => {
                (S::UNAUTHORIZED, "not_authenticated", "Not authenticated".to_owned())
            }
            Self::InvalidToken => {
                (S::UNAUTHORIZED, "invalid_token", "Could not validate credentials".to_owned())
            }
            Self::TokenExpired => (S::UNAUTHORIZED, "token_expired", "Token expired".to_owned()),
            Self::WrongCredentials => (
                S::UNAUTHORIZED,
                "wrong_credentials",
                "Incorrect email or password".to_owned(),
            ),
            Self::AccountInactive => {
                (S::FORBIDDEN, "account_inactive", "User account is inactive".to_owned())
            }
            Self::RegistrationClosed => (
                S::FORBIDDEN,
                "registration_closed",
                "This server takes no new accounts; ask its operator for one.".to_owned(),
            ),
            Self::EmailTaken => {
                (S::CONFLICT, "email_taken", "Email already registered".to_owned())
            }
            Self::WrongPassword => (
                S::FORBIDDEN,
                "wrong_password",
                "The current password is not right.".to_owned(),
            ),
            Self::ConfirmationMissing => (
                S::BAD_REQUEST,
                "confirmation_missing",
                "Send {\"confirm\": true} to delete your account and everything in it.".to_owned(),
            ),
            Self::ConsentRequired => (
                S::FORBIDDEN,
                "consent_required",
                "This server needs your consent first: POST /api/v1/privacy/consent with \
                 consent_type biometric_capture."
                    .to_owned(),
            ),
            Self::PhotoExpired => (
                S::GONE,
                "photo_expired",
                "The original of this photo is no longer kept. Upload it again.".to_owned(),
            ),
            Self::TooManyAttempts { limit, interval, retry_after_s } => (
                S::TOO_MANY_REQUESTS,
                "too_many_attempts",
                format!(
                    "Too many failed sign-ins: the limit is {limit}, then one every {} s. Try again in \
                     {retry_after_s} seconds.",
                    interval.as_secs_f64()
                ),
            ),
            Self::TooManyRegistrations { whose, limit, interval, retry_after_s } => (
                S::TOO_MANY_REQUESTS,
                "too_many_registrations",
                format!(
                    "The limit is {limit} new accounts for {whose}, then one every {} s. Try again in \
                     {retry_after_s} seconds.",
                    interval.as_secs_f64()
                ),
            ),
            Self::Busy { what, retry_after_s } => (
                S::SERVICE_UNAVAILABLE,
                "busy",
                format!("Too many {what} at this moment. Try again in {retry_after_s} seconds."),
            ),
            Self::RateLimited { whose, per_second, retry_after_s } => (
                S::TOO_MANY_REQUESTS,
                "rate_limited",
                format!(
                    "The limit is {per_second} requests a second for {whose}. Wait {retry_after_s} s, \
                     then go on more slowly."
                ),
            ),
            Self::QueueFull { whose, limit, .. } => (
                S::TOO_MANY_REQUESTS,
                "queue_full",
                format!(
                    "The limit is {limit} unfinished jobs for {whose}. Wait until some have finished, \
                     then submit again."
                ),
            ),
            Self::StorageFull { limit_bytes } => (
                S::PAYLOAD_TOO_LARGE,
                "storage_full",
                format!(
                    "The limit is {} of photos and results for one account. Delete some, then try again.",
                    shown_size(*limit_bytes)
                ),
            ),
            Self::TooManySockets { whose, limit } => (
                S::TOO_MANY_REQUESTS,
                "too_many_sockets",
                format!(
                    "The limit is {limit} open sockets for {whose}. Close some, or ask for the job \
                     instead."
                ),
            ),
            Self::TooManyTransfers { whose, limit } => (
                S::SERVICE_UNAVAILABLE,
                "too_many_transfers",
                format!(
                    "The limit is {limit} uploads and downloads at once for {whose}. Try again in \
                     {BUSY_RETRY_S} s."
                ),
            ),
            Self::TooManyUnconfirmed { limit, .. } => (
                S::TOO_MANY_REQUESTS,
                "too_many_unconfirmed",
                format!(
                    "The limit is {limit} announced photos that are not confirmed for one account. \
                     Confirm or delete some, or wait until they are forgotten."
                ),
            ),
            Self::NotFound(what) => (S::NOT_FOUND, "not_found", (*what).to_owned()),
            Self::NotUploaded => (
                S::CONFLICT,
                "photo_not_uploaded",
                "This photo has not been uploaded yet: PUT its bytes to the upload URL, then confirm."
                    .to_owned(),
            ),
            Self::TakenInBefore => (
                S::CONFLICT,
                "photo_already_confirmed",
                "This photo was confirmed before and does not change. Announce another one for other \
                 bytes."
                    .to_owned(),
            ),
            Self::NoValidPhotos => (
                S::BAD_REQUEST,
                "no_valid_photos",
                "No valid photos found for processing".to_owned(),
            ),
            Self::IdempotencyKeyTaken => (
                S::CONFLICT,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request. Use a new one.".to_owned(),
            ),
            Self::LinkExpired => (
                S::FORBIDDEN,
                "link_expired",
                "This link has expired; ask for a new one.".to_owned(),
            ),
            Self::LinkForged => {
                (S::FORBIDDEN, "link_invalid", "This link is not valid.".to_owned())
            }
            Self::TypeDiffers { expected } => (
                S::FORBIDDEN,
                "content_type_differs",
                format!("This upload URL is for Content-Type {expected}."),
            ),
            Self::BodyTooLarge { limit_bytes } => (
                S::PAYLOAD_TOO_LARGE,
                RejectionCode::ImageTooLarge.as_str(),
                format!(
                    "The photo is larger than {} MB. Send a smaller one.",
                    limit_bytes / (1024 * 1024)
                ),
            ),
            Self::JsonTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is larger than 64 KiB. Send less at once.".to_owned(),
            ),
            Self::BodyTooSlow => (
                S::REQUEST_TIMEOUT,
                "request_timeout",
                "The request came too slowly and was given up. Send it again.".to_owned(),
            ),
            Self::TookTooLong => (
                S::GATEWAY_TIMEOUT,
                "timed_out",
                "This took too long on our side. Try again shortly.".to_owned(),
            ),
            Self::MetricsForbidden => (
                S::FORBIDDEN,
                "metrics_forbidden",
                "Send the operator's token, or an admin's access token, as bearer.".to_owned(),
            ),
            Self::RangeNotSatisfiable { .. } => (
                S::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The range lies outside of the file.".to_owned(),
            ),
            Self::Photo(rejection) => {
                (status_of(rejection.code), rejection.code.as_str(), rejection.message.clone())
            }
            Self::Invalid { msg, .. } => {
                (S::UNPROCESSABLE_ENTITY, "validation_error", msg.clone())
            }
            Self::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "unavailable",
                "The service cannot do this at the moment. Try again shortly.".to_owned(),
            ),
            Self::Conflict => (
                S::CONFLICT,
                "conflict",
                "Something that this refers to was changed or deleted in the meantime. Look at it again \
                 before you repeat this."
                    .to_owned(),
            ),
            Self::TooManyConsents => (
                S::CONFLICT,
                "too_many_consents",
                format!(
                    "The limit is {MOST_CONSENTS} consents on record for one account. Ask the operator of \
                     this server."
                ),
            ),
            Self::PasswordChanged => (
                S::CONFLICT,
                "password_changed",
                "The password was changed in the meantime by another request. This one changed nothing."
                    .to_owned(),
            ),
            Self::Internal => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side.".to_owned(),
            ),
        }
    }
}

fn shown_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KB", bytes >> 10)
    } else {
        format!("{} MB", bytes >> 20)
    }
}

fn status_of(code: RejectionCode) -> StatusCode {
    match code {
        RejectionCode::UnsupportedFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        RejectionCode::ImageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RejectionCode::NotAnImage
        | RejectionCode::NoIrisFound
        | RejectionCode::IrisTooSmall
        | RejectionCode::TooBlurry
        | RejectionCode::TooDark
        | RejectionCode::Overexposed
        | RejectionCode::IrisCovered
        | RejectionCode::IrisCutOff => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, detail) = self.parts();
        if let Self::Invalid { loc, msg, kind } = &self {
            let issue = ValidationIssue {
                loc: loc.clone(),
                msg: msg.clone(),
                kind: (*kind).to_owned(),
            };
            let body = ValidationBody {
                detail: vec![issue],
                code: "validation_error",
            };
            return (status, Json(body)).into_response();
        }
        let suggestion = match &self {
            Self::Photo(rejection) => Some(rejection.suggestion.clone()),
            _ => None,
        };
        let body = ErrorBody {
            detail,
            code: code.to_owned(),
            suggestion,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match &self {
            _ if status == StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooManyAttempts { retry_after_s, .. }
            | Self::TooManyRegistrations { retry_after_s, .. }
            | Self::Busy { retry_after_s, .. }
            | Self::RateLimited { retry_after_s, .. }
            | Self::QueueFull { retry_after_s, .. }
            | Self::TooManyUnconfirmed { retry_after_s, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            Self::TooManySockets { .. } | Self::TooManyTransfers { .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(BUSY_RETRY_S));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::RangeNotSatisfiable { size_bytes } => {
                if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size_bytes}")) {
                    headers.insert(header::CONTENT_RANGE, range);
                }
            }
            _ => {}
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => {
                tracing::info!(%error, "a request came too late for what it refers to");
                Self::Conflict
            }
            StoreError::Unavailable(_) | StoreError::Damaged(_) => {
                tracing::error!(%error, "a store call failed");
                Self::Unavailable
            }
            StoreError::Corrupt(_) | StoreError::Refused(_) => {
                tracing::error!(%error, "a store call failed");
                Self::Internal
            }
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "photo storage failed");
        Self::Unavailable
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a task failed");
        Self::Internal
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Photo(rejection)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::JsonTooLarge;
        }
        let kind = match &rejection {
            JsonRejection::JsonSyntaxError(_) => "json_invalid",
            JsonRejection::MissingJsonContentType(_) => "content_type",
            _ => "value_error",
        };
        Self::Invalid {
            loc: vec!["body".to_owned()],
            msg: rejection.body_text(),
            kind,
        }
    }
}
