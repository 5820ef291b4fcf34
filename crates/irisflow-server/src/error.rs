//! Errors of the API, and the tables that map them to HTTP status, code and message.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use irisflow_image::rejection::{Rejection, RejectionCode};
use irisflow_jobs::{MOST_CONSENTS, StoreError};
use irisflow_messages::{Language, Text, photos, text};
use irisflow_photos::StorageError;
use serde::Serialize;
use utoipa::ToSchema;

/// The body of an error response: `{"detail": "...", "code": "..."}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A sentence for the user.
    detail: String,
    /// A stable name for programs.
    code: String,
    /// One thing that the user can do; null when there is none.
    suggestion: Option<String>,
}

/// The body of a response to an invalid body or query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationBody {
    detail: Vec<ValidationIssue>,
    code: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationIssue {
    /// Location of the invalid value, as in `["body", "password"]`.
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
    TokenInUrl,
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
        of: LimitOf,
        limit: u32,
        interval: Duration,
        retry_after_s: u64,
    },
    /// A work queue is full.
    Busy {
        work: BusyWork,
        retry_after_s: u64,
    },
    RateLimited {
        of: LimitOf,
        per_second: u32,
        retry_after_s: u64,
    },
    QueueFull {
        of: LimitOf,
        limit: u64,
        retry_after_s: u64,
    },
    StorageFull {
        limit_bytes: u64,
    },
    TooManySockets {
        of: LimitOf,
        limit: usize,
    },
    TooManyTransfers {
        of: LimitOf,
        limit: usize,
    },
    TooManyUnconfirmed {
        limit: u64,
        retry_after_s: u64,
    },
    NotFound(Missing),
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
        text: Text,
        kind: &'static str,
    },
    Unavailable,
    Conflict,
    TooManyConsents,
    TooManyWebhooks {
        limit: u32,
    },
    WebhookDisabled,
    WebhookBacklogFull,
    DeliveryErased,
    PasswordChanged,
    Internal,
}

const VALIDATION_ERROR: &str = "validation_error";

/// `Retry-After` in seconds when a concurrency limit is reached.
const BUSY_RETRY_S: u64 = 5;

impl ApiError {
    /// An invalid field of the JSON body.
    pub(crate) fn invalid_field(field: &str, text: Text) -> Self {
        let loc = vec!["body".to_owned(), field.to_owned()];
        Self::Invalid {
            loc,
            text,
            kind: "value_error",
        }
    }

    /// A part of the request that a library could not parse, with the message of the library.
    pub(crate) fn unparsed(part: &str, reason: String, kind: &'static str) -> Self {
        Self::Invalid {
            loc: vec![part.to_owned()],
            text: text!("invalid-as-parsed", reason = reason),
            kind,
        }
    }

    /// Maps each error to its status and code.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::NotAuthenticated => (S::UNAUTHORIZED, "not_authenticated"),
            Self::InvalidToken => (S::UNAUTHORIZED, "invalid_token"),
            Self::TokenExpired => (S::UNAUTHORIZED, "token_expired"),
            Self::TokenInUrl => (S::UNAUTHORIZED, "token_in_url_disabled"),
            Self::WrongCredentials => (S::UNAUTHORIZED, "wrong_credentials"),
            Self::AccountInactive => (S::FORBIDDEN, "account_inactive"),
            Self::RegistrationClosed => (S::FORBIDDEN, "registration_closed"),
            Self::EmailTaken => (S::CONFLICT, "email_taken"),
            Self::WrongPassword => (S::FORBIDDEN, "wrong_password"),
            Self::ConfirmationMissing => (S::BAD_REQUEST, "confirmation_missing"),
            Self::ConsentRequired => (S::FORBIDDEN, "consent_required"),
            Self::PhotoExpired => (S::GONE, "photo_expired"),
            Self::TooManyAttempts { .. } => (S::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::TooManyRegistrations { .. } => (S::TOO_MANY_REQUESTS, "too_many_registrations"),
            Self::Busy { .. } => (S::SERVICE_UNAVAILABLE, "busy"),
            Self::RateLimited { .. } => (S::TOO_MANY_REQUESTS, "rate_limited"),
            Self::QueueFull { .. } => (S::TOO_MANY_REQUESTS, "queue_full"),
            Self::StorageFull { .. } => (S::PAYLOAD_TOO_LARGE, "storage_full"),
            Self::TooManySockets { .. } => (S::TOO_MANY_REQUESTS, "too_many_sockets"),
            Self::TooManyTransfers { .. } => (S::SERVICE_UNAVAILABLE, "too_many_transfers"),
            Self::TooManyUnconfirmed { .. } => (S::TOO_MANY_REQUESTS, "too_many_unconfirmed"),
            Self::NotFound(_) => (S::NOT_FOUND, "not_found"),
            Self::NotUploaded => (S::CONFLICT, "photo_not_uploaded"),
            Self::TakenInBefore => (S::CONFLICT, "photo_already_confirmed"),
            Self::NoValidPhotos => (S::BAD_REQUEST, "no_valid_photos"),
            Self::IdempotencyKeyTaken => (S::CONFLICT, "idempotency_key_reused"),
            Self::LinkExpired => (S::FORBIDDEN, "link_expired"),
            Self::LinkForged => (S::FORBIDDEN, "link_invalid"),
            Self::TypeDiffers { .. } => (S::FORBIDDEN, "content_type_differs"),
            Self::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "image_too_large"),
            Self::JsonTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow => (S::REQUEST_TIMEOUT, "request_timeout"),
            Self::TookTooLong => (S::GATEWAY_TIMEOUT, "timed_out"),
            Self::MetricsForbidden => (S::FORBIDDEN, "metrics_forbidden"),
            Self::RangeNotSatisfiable { .. } => (S::RANGE_NOT_SATISFIABLE, "range_not_satisfiable"),
            Self::Photo(rejection) => (status_of(rejection.code()), rejection.code().as_str()),
            Self::Invalid { .. } => (S::UNPROCESSABLE_ENTITY, VALIDATION_ERROR),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Conflict => (S::CONFLICT, "conflict"),
            Self::TooManyConsents => (S::CONFLICT, "too_many_consents"),
            Self::TooManyWebhooks { .. } => (S::CONFLICT, "too_many_webhooks"),
            Self::WebhookDisabled => (S::CONFLICT, "webhook_disabled"),
            Self::WebhookBacklogFull => (S::CONFLICT, "webhook_backlog_full"),
            Self::DeliveryErased => (S::GONE, "delivery_erased"),
            Self::PasswordChanged => (S::CONFLICT, "password_changed"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Maps each error to its message.
    pub(crate) fn text(&self) -> Text {
        match self {
            Self::NotAuthenticated => text!("error-not-authenticated"),
            Self::InvalidToken => text!("error-invalid-token"),
            Self::TokenExpired => text!("error-token-expired"),
            Self::TokenInUrl => text!("error-token-in-url"),
            Self::WrongCredentials => text!("error-wrong-credentials"),
            Self::AccountInactive => text!("error-account-inactive"),
            Self::RegistrationClosed => text!("error-registration-closed"),
            Self::EmailTaken => text!("error-email-taken"),
            Self::WrongPassword => text!("error-wrong-password"),
            Self::ConfirmationMissing => text!("error-confirmation-missing"),
            Self::ConsentRequired => text!("error-consent-required"),
            Self::PhotoExpired => text!("error-photo-expired"),
            Self::TooManyAttempts { .. }
            | Self::TooManyRegistrations { .. }
            | Self::Busy { .. }
            | Self::RateLimited { .. }
            | Self::QueueFull { .. }
            | Self::StorageFull { .. }
            | Self::TooManySockets { .. }
            | Self::TooManyTransfers { .. }
            | Self::TooManyUnconfirmed { .. } => self.limit_text(),
            Self::NotFound(missing) => text!("error-not-found", what = missing.word()),
            Self::NotUploaded => text!("error-not-uploaded"),
            Self::TakenInBefore => text!("error-already-confirmed"),
            Self::NoValidPhotos => text!("error-no-valid-photos"),
            Self::IdempotencyKeyTaken => text!("error-idempotency-key-reused"),
            Self::LinkExpired => text!("error-link-expired"),
            Self::LinkForged => text!("error-link-invalid"),
            Self::TypeDiffers { expected } => {
                text!("error-content-type-differs", expected = expected.clone())
            }
            Self::BodyTooLarge { limit_bytes } => {
                text!("error-photo-too-large", limit = limit_bytes >> 20)
            }
            Self::JsonTooLarge => text!("error-body-too-large"),
            Self::BodyTooSlow => text!("error-body-too-slow"),
            Self::TookTooLong => text!("error-took-too-long"),
            Self::MetricsForbidden => text!("error-metrics-forbidden"),
            Self::RangeNotSatisfiable { .. } => text!("error-range-not-satisfiable"),
            Self::Photo(rejection) => photos::rejection(rejection).message,
            Self::Invalid { text, .. } => text.clone(),
            Self::Unavailable => text!("error-unavailable"),
            Self::Conflict => text!("error-conflict"),
            Self::TooManyConsents => text!("error-too-many-consents", limit = MOST_CONSENTS),
            Self::TooManyWebhooks { limit } => text!("error-too-many-webhooks", limit = *limit),
            Self::WebhookDisabled => text!("error-webhook-disabled"),
            Self::WebhookBacklogFull => text!("error-webhook-backlog-full"),
            Self::DeliveryErased => text!("error-delivery-erased"),
            Self::PasswordChanged => text!("error-password-changed"),
            Self::Internal => text!("error-internal"),
        }
    }

    /// The messages of errors about limits.
    fn limit_text(&self) -> Text {
        match *self {
            Self::TooManyAttempts {
                limit,
                interval,
                retry_after_s,
            } => text!(
                "error-too-many-attempts",
                limit = limit,
                interval = interval.as_secs_f64().to_string(),
                retry_after = retry_after_s,
            ),
            Self::TooManyRegistrations {
                of,
                limit,
                interval,
                retry_after_s,
            } => text!(
                "error-too-many-registrations",
                whose = of.text(),
                limit = limit,
                interval = interval.as_secs_f64().to_string(),
                retry_after = retry_after_s,
            ),
            Self::Busy {
                work,
                retry_after_s,
            } => {
                text!(
                    "error-busy",
                    what = work.word(),
                    retry_after = retry_after_s
                )
            }
            Self::RateLimited {
                of,
                per_second,
                retry_after_s,
            } => text!(
                "error-rate-limited",
                whose = of.text(),
                per_second = per_second,
                retry_after = retry_after_s,
            ),
            Self::QueueFull { of, limit, .. } => {
                text!("error-queue-full", whose = of.text(), limit = limit)
            }
            Self::StorageFull { limit_bytes } => {
                text!("error-storage-full", limit = shown_size(limit_bytes))
            }
            Self::TooManySockets { of, limit } => {
                text!("error-too-many-sockets", whose = of.text(), limit = limit)
            }
            Self::TooManyTransfers { of, limit } => text!(
                "error-too-many-transfers",
                whose = of.text(),
                limit = limit,
                retry_after = BUSY_RETRY_S,
            ),
            Self::TooManyUnconfirmed { limit, .. } => {
                text!("error-too-many-unconfirmed", limit = limit)
            }
            // Unreachable: `text` calls this only for the errors above.
            _ => text!("error-internal"),
        }
    }
}

/// What the reached limit applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitOf {
    Account,
    Address,
    /// The address that the request comes from.
    ThisAddress,
    Server,
}

impl LimitOf {
    pub(crate) fn text(self) -> Text {
        match self {
            Self::Account => text!("limit-of-account"),
            Self::Address => text!("limit-of-address"),
            Self::ThisAddress => text!("limit-of-this-address"),
            Self::Server => text!("limit-of-server"),
        }
    }
}

/// The work whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BusyWork {
    SignIns,
    Photos,
}

impl BusyWork {
    fn word(self) -> &'static str {
        match self {
            Self::SignIns => "sign-ins",
            Self::Photos => "photos",
        }
    }
}

/// The kind of a resource that does not exist or belongs to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Batch,
    Consent,
    File,
    Job,
    /// The job that is to be processed again.
    OriginalJob,
    Path,
    Photo,
    Session,
    Webhook,
    WebhookDelivery,
}

impl Missing {
    fn word(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Consent => "consent",
            Self::File => "file",
            Self::Job => "job",
            Self::OriginalJob => "original-job",
            Self::Path => "path",
            Self::Photo => "photo",
            Self::Session => "session",
            Self::Webhook => "webhook",
            Self::WebhookDelivery => "webhook-delivery",
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
        | RejectionCode::IrisUnclear
        | RejectionCode::LookingAway
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
        let (status, code) = self.status_and_code();
        let detail = self.text().in_language(Language::PROGRAM);
        if let Self::Invalid { loc, kind, .. } = self {
            let issue = ValidationIssue {
                loc,
                msg: detail,
                kind: kind.to_owned(),
            };
            let body = ValidationBody {
                detail: vec![issue],
                code,
            };
            return (status, Json(body)).into_response();
        }
        let suggestion = match &self {
            Self::Photo(rejection) => Some(
                photos::rejection(rejection)
                    .suggestion
                    .in_language(Language::PROGRAM),
            ),
            _ => None,
        };
        let body = ErrorBody {
            detail,
            code: code.to_owned(),
            suggestion,
        };
        let mut response = (status, Json(body)).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl ApiError {
    /// The header of the error, if any: `WWW-Authenticate`, `Retry-After` or `Content-Range`.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let retry_after = |seconds: u64| Some((header::RETRY_AFTER, HeaderValue::from(seconds)));
        match *self {
            Self::NotAuthenticated
            | Self::InvalidToken
            | Self::TokenExpired
            | Self::WrongCredentials => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::TooManyAttempts { retry_after_s, .. }
            | Self::TooManyRegistrations { retry_after_s, .. }
            | Self::Busy { retry_after_s, .. }
            | Self::RateLimited { retry_after_s, .. }
            | Self::QueueFull { retry_after_s, .. }
            | Self::TooManyUnconfirmed { retry_after_s, .. } => retry_after(retry_after_s),
            Self::TooManySockets { .. } | Self::TooManyTransfers { .. } => {
                retry_after(BUSY_RETRY_S)
            }
            Self::Unavailable => retry_after(1),
            Self::RangeNotSatisfiable { size_bytes } => {
                let range = HeaderValue::from_str(&format!("bytes */{size_bytes}")).ok()?;
                Some((header::CONTENT_RANGE, range))
            }
            _ => None,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() {
            tracing::info!(%error, "a request refers to something that was changed or deleted");
            return Self::Conflict;
        }
        tracing::error!(%error, "a store call failed");
        if error.is_transient() || error.is_outage() {
            Self::Unavailable
        } else {
            Self::Internal
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
        Self::unparsed("body", rejection.body_text(), kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn without_figures() -> Vec<ApiError> {
        vec![
            ApiError::NotAuthenticated,
            ApiError::InvalidToken,
            ApiError::TokenExpired,
            ApiError::TokenInUrl,
            ApiError::WrongCredentials,
            ApiError::AccountInactive,
            ApiError::RegistrationClosed,
            ApiError::EmailTaken,
            ApiError::WrongPassword,
            ApiError::ConfirmationMissing,
            ApiError::ConsentRequired,
            ApiError::PhotoExpired,
            ApiError::NotUploaded,
            ApiError::TakenInBefore,
            ApiError::NoValidPhotos,
            ApiError::IdempotencyKeyTaken,
            ApiError::LinkExpired,
            ApiError::LinkForged,
            ApiError::JsonTooLarge,
            ApiError::BodyTooSlow,
            ApiError::TookTooLong,
            ApiError::MetricsForbidden,
            ApiError::Unavailable,
            ApiError::Conflict,
            ApiError::TooManyConsents,
            ApiError::TooManyWebhooks { limit: 10 },
            ApiError::WebhookDisabled,
            ApiError::WebhookBacklogFull,
            ApiError::DeliveryErased,
            ApiError::PasswordChanged,
            ApiError::Internal,
        ]
    }

    fn with_figures() -> Vec<ApiError> {
        let missing = [
            Missing::Batch,
            Missing::Consent,
            Missing::File,
            Missing::Job,
            Missing::OriginalJob,
            Missing::Path,
            Missing::Photo,
            Missing::Session,
            Missing::Webhook,
            Missing::WebhookDelivery,
        ];
        let mut all: Vec<ApiError> = missing.map(ApiError::NotFound).into();
        all.extend([
            ApiError::TypeDiffers {
                expected: "image/jpeg".to_owned(),
            },
            ApiError::BodyTooLarge {
                limit_bytes: 52_428_800,
            },
            ApiError::RangeNotSatisfiable { size_bytes: 7 },
            ApiError::Photo(Rejection::NotAPhoto),
            ApiError::invalid_field("email", text!("invalid-email")),
            ApiError::unparsed("query", "invalid digit".to_owned(), "value_error"),
        ]);
        all
    }

    fn limits() -> Vec<ApiError> {
        let mut all = vec![
            ApiError::TooManyAttempts {
                limit: 10,
                interval: MINUTE,
                retry_after_s: 42,
            },
            ApiError::TooManyAttempts {
                limit: 1,
                interval: Duration::from_millis(1_500),
                retry_after_s: 1,
            },
            ApiError::StorageFull {
                limit_bytes: 1_073_741_824,
            },
            ApiError::StorageFull {
                limit_bytes: 614_400,
            },
            ApiError::TooManyUnconfirmed {
                limit: 1_000,
                retry_after_s: 60,
            },
        ];
        all.extend(
            [BusyWork::SignIns, BusyWork::Photos].map(|work| ApiError::Busy {
                work,
                retry_after_s: 5,
            }),
        );
        for of in [
            LimitOf::Account,
            LimitOf::Address,
            LimitOf::ThisAddress,
            LimitOf::Server,
        ] {
            all.extend([
                ApiError::TooManyRegistrations {
                    of,
                    limit: 20,
                    interval: MINUTE,
                    retry_after_s: 60,
                },
                ApiError::RateLimited {
                    of,
                    per_second: 50,
                    retry_after_s: 1,
                },
                ApiError::QueueFull {
                    of,
                    limit: 100_000,
                    retry_after_s: 30,
                },
                ApiError::TooManySockets { of, limit: 64 },
                ApiError::TooManyTransfers { of, limit: 32 },
            ]);
        }
        all
    }

    #[test]
    fn every_error_has_its_status_code_and_sentence() {
        let all = without_figures()
            .into_iter()
            .chain(with_figures())
            .chain(limits());
        let lines = all.map(|error| {
            let (status, code) = error.status_and_code();
            let detail = error.text().in_language(Language::English);
            let header = error.header();
            let header = header.map(|(name, value)| format!(" [{name}: {value:?}]"));
            let header = header.unwrap_or_default();
            format!("{} {code}{header}: {detail}\n", status.as_u16())
        });
        insta::assert_snapshot!(lines.collect::<String>());
    }
}
