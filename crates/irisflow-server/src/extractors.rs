//! Extractors of request parts that reject invalid input with our error bodies: JSON bodies, queries, paging, ids.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use irisflow_jobs::PageRequest;
use irisflow_messages::{Text, text};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::error::ApiError;

/// A JSON body. An invalid one is answered with 422 and a list under `detail`.
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(Json::from_request(request, state).await?.0))
    }
}

/// A JSON body that may be empty or `null`.
pub(crate) struct OptionalJson<T>(pub(crate) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = bytes::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    return ApiError::JsonTooLarge;
                }
                ApiError::unparsed("body", rejection.body_text(), "body_incomplete")
            })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::unparsed("body", error.to_string(), "json_invalid"))
    }
}

/// `?page=1&page_size=20`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Page number, starting at 1.
    #[param(minimum = 1, maximum = 1_000_000, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 20)]
    page_size: Option<u32>,
}

const LAST_PAGE: u32 = 1_000_000;
const MAX_PAGE_SIZE: u32 = 100;

impl PageQuery {
    pub(crate) fn parse(&self) -> Result<PageRequest, ApiError> {
        let page = self.page.unwrap_or(1);
        let page_size = self.page_size.unwrap_or(20);
        if !(1..=LAST_PAGE).contains(&page) {
            return Err(invalid_query(
                "page",
                text!("invalid-page", last = LAST_PAGE),
            ));
        }
        if !(1..=MAX_PAGE_SIZE).contains(&page_size) {
            let text = text!("invalid-page-size", most = MAX_PAGE_SIZE);
            return Err(invalid_query("page_size", text));
        }
        Ok(PageRequest { page, page_size })
    }
}

pub(crate) fn invalid_query(name: &str, text: Text) -> ApiError {
    let loc = vec!["query".to_owned(), name.to_owned()];
    ApiError::Invalid {
        loc,
        text,
        kind: "value_error",
    }
}

/// The query string. An invalid one is answered with 422.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let reason = rejection.body_text();
                Err(ApiError::unparsed("query", reason, "value_error"))
            }
        }
    }
}

/// Two ids in the path. An invalid one is answered with 422.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<S, A, B> FromRequestParts<S> for PathIds<A, B>
where
    S: Send + Sync,
    A: std::str::FromStr,
    B: std::str::FromStr,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        texts
            .ok()
            .and_then(|Path((a, b))| Some(Self(a.parse().ok()?, b.parse().ok()?)))
            .ok_or_else(invalid_id)
    }
}

/// An id in the path. An invalid one is answered with 422.
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: std::str::FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        text.ok()
            .and_then(|Path(text)| text.parse().ok())
            .map(Self)
            .ok_or_else(invalid_id)
    }
}

fn invalid_id() -> ApiError {
    ApiError::Invalid {
        loc: vec!["path".to_owned(), "id".to_owned()],
        text: text!("invalid-id"),
        kind: "uuid_parsing",
    }
}
