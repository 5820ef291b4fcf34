//! Presigned URLs of the embedded storage: `GET` and `PUT /files/{key}`. The signature in the URL is the only
//! credential; the key decides which object is served and with which media type.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use irisflow_jobs::{PhotoId, UploadStatus, UserId};
use irisflow_photos::{Access, ObjectKey, SignatureError};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{App, AppState};
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::ApiQuery;
use crate::photos::create_with_bytes::content_length;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignatureQuery {
    /// Seconds since the epoch.
    exp: Option<i64>,
    sig: Option<String>,
}

/// Download a file by its presigned URL. Supports ranges and ETags.
#[utoipa::path(get, path = "/files/{key}", tag = "files",
    params(("key" = String, Path, description = "As in the signed link"), SignatureQuery),
    responses(
        (status = 200, description = "The file", content_type = "image/jpeg"),
        (status = 206, description = "The part that was asked for"),
        (status = 304, description = "You have it"),
        (status = 403, description = "`link_expired` or `link_invalid`", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 416, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn read(
    State(app): State<App>,
    Path(name): Path<String>,
    ApiQuery(query): ApiQuery<SignatureQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let key = app.check_signature(&name, &Access::Read, &query)?;
    let content_type = key
        .content_type()
        .ok_or(ApiError::NotFound(Missing::File))?;
    let size_bytes = app.parts.files.size_of(&key).await?;
    let size_bytes = size_bytes.ok_or(ApiError::NotFound(Missing::File))?;

    // An object is never overwritten with other bytes, so that its key identifies its version.
    let etag = format!("\"{}\"", name.rsplit('/').next().unwrap_or_default());
    let cache_control = app.cache_control(&query);
    if has_matching_etag(&headers, &etag) {
        let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, cache_control)];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }

    let range = wanted_range(&headers, size_bytes)?;
    let (first, length) = range.map_or((0, size_bytes), |(first, last)| (first, last - first + 1));
    let pieces = app.parts.files.read(&key, first..first + length).await?;
    let pieces = pieces.ok_or(ApiError::NotFound(Missing::File))?;
    let status = if range.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = (status, Body::from_stream(pieces)).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Keeps browsers from running scripts, whatever the stored file contains.
    answer.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    let content_range = range.map(|(first, last)| format!("bytes {first}-{last}/{size_bytes}"));
    let computed = [
        (header::CACHE_CONTROL, Some(cache_control)),
        (header::ETAG, Some(etag)),
        (header::CONTENT_RANGE, content_range),
    ];
    for (name, value) in computed {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            answer.insert(name, value);
        }
    }
    Ok(response)
}

/// The first and the last byte of a part.
type Part = (u64, u64);

/// The part that `Range` asks for; none for the whole file.
fn wanted_range(headers: &HeaderMap, size_bytes: u64) -> Result<Option<Part>, ApiError> {
    let text = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    match text.map(|text| parse_range(text, size_bytes)) {
        None | Some(Range::Ignored) => Ok(None),
        Some(Range::Part(first, last)) => Ok(Some((first, last))),
        Some(Range::Outside) => Err(ApiError::RangeNotSatisfiable { size_bytes }),
    }
}

/// Upload a photo to the URL from `POST /photos/upload`, with the Content-Type that was given there.
#[utoipa::path(put, path = "/files/{key}", tag = "files",
    params(("key" = String, Path, description = "As in the signed link"), SignatureQuery),
    request_body(content = Vec<u8>, content_type = "image/jpeg"),
    responses(
        (status = 200, description = "Received; confirm the photo now"),
        (status = 403, description = "`link_expired`, `link_invalid` or `content_type_differs`",
            body = ErrorBody),
        (status = 404, description = "The photo was deleted, or not confirmed in time", body = ErrorBody),
        (status = 409, description = "`photo_already_confirmed`", body = ErrorBody),
        (status = 413, description = "`image_too_large`, `storage_full`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn write(
    State(app): State<App>,
    Path(name): Path<String>,
    ApiQuery(query): ApiQuery<SignatureQuery>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let limit_bytes = app.settings.photo_limits.max_bytes as u64;
    let declared_bytes = content_length(request.headers());
    if declared_bytes > limit_bytes {
        return Err(ApiError::BodyTooLarge { limit_bytes });
    }
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let key = match app.check_signature(&name, &Access::Write { content_type }, &query) {
        Err(ApiError::LinkForged) => return Err(app.invalid_upload_signature(&name, &query).await),
        checked => checked?,
    };
    let ObjectKey::Incoming { user_id, photo_id } = key else {
        return Err(ApiError::NotFound(Missing::File));
    };
    app.check_upload_expected(user_id, photo_id).await?;
    app.check_storage(user_id, declared_bytes).await?;
    let pieces = request.into_body().into_data_stream();
    app.receive(user_id, photo_id, pieces).await?;
    Ok(StatusCode::OK)
}

impl AppState {
    /// Objects never change, so that caches may keep them until the URL expires.
    fn cache_control(&self, query: &SignatureQuery) -> String {
        let seconds_left = query.exp.unwrap_or(0) - self.now().as_millis() / 1000;
        format!("private, max-age={}, immutable", seconds_left.max(0))
    }

    fn check_signature(
        &self,
        name: &str,
        access: &Access,
        query: &SignatureQuery,
    ) -> Result<ObjectKey, ApiError> {
        let key = ObjectKey::parse(name).ok_or(ApiError::LinkForged)?;
        let (Some(expires), Some(signature)) = (query.exp, query.sig.as_deref()) else {
            return Err(ApiError::LinkForged);
        };
        let signer = self.parts.file_links.as_ref();
        let signer = signer.ok_or(ApiError::LinkForged)?;
        match signer.check(&key, access, expires, signature, self.now()) {
            Ok(()) => Ok(key),
            Err(SignatureError::Expired) => Err(ApiError::LinkExpired),
            Err(SignatureError::Forged) => Err(ApiError::LinkForged),
        }
    }

    /// The error for an invalid signature of an upload. The most common cause is another Content-Type than the one
    /// given at `POST /photos/upload`; the error names it, but only if the signature is valid for the expected type.
    async fn invalid_upload_signature(&self, name: &str, query: &SignatureQuery) -> ApiError {
        let Some(ObjectKey::Incoming { user_id, photo_id }) = ObjectKey::parse(name) else {
            return ApiError::LinkForged;
        };
        let expected = match self.announced_type(user_id, photo_id).await {
            Ok(Some(expected)) => expected,
            Ok(None) => return ApiError::LinkForged,
            Err(error) => return error,
        };
        let access = Access::Write {
            content_type: expected.clone(),
        };
        match self.check_signature(name, &access, query) {
            Ok(_) => ApiError::TypeDiffers { expected },
            Err(error) => error,
        }
    }

    /// Checks that the photo exists and is not confirmed; the URL may still be valid when it was deleted.
    async fn check_upload_expected(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<(), ApiError> {
        let photo = self.parts.photos.photo(user_id, photo_id).await?;
        match photo.map(|photo| photo.status) {
            Some(UploadStatus::Pending | UploadStatus::Failed) => Ok(()),
            Some(UploadStatus::Uploaded | UploadStatus::Expired) => Err(ApiError::TakenInBefore),
            None => Err(ApiError::NotFound(Missing::File)),
        }
    }

    async fn announced_type(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Option<String>, ApiError> {
        let photo = self.parts.photos.photo(user_id, photo_id).await?;
        Ok(photo.map(|photo| photo.announced_type))
    }
}

/// Whether `If-None-Match` matches this version (RFC 9110, 13.1.2: weak comparison).
fn has_matching_etag(headers: &HeaderMap, etag: &str) -> bool {
    let if_none_match = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if_none_match.is_some_and(|list| {
        let mut tags = list.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// A range that is not supported: the response is the whole file (RFC 9110, 14.2).
    Ignored,
    /// First and last byte, both included.
    Part(u64, u64),
    Outside,
}

/// Parses a single `bytes=` range. A list of ranges is not supported.
fn parse_range(text: &str, size: u64) -> Range {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::Ignored;
    };
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), _) if first >= size => Range::Outside,
        (Ok(first), "") => Range::Part(first, size - 1),
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => Range::Part(first, last.min(size - 1)),
            _ => Range::Ignored,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => Range::Outside,
            Ok(_) if size == 0 => Range::Outside,
            Ok(length) => Range::Part(size.saturating_sub(length), size - 1),
            Err(_) => Range::Ignored,
        },
        _ => Range::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_according_to_rfc_9110() {
        assert_eq!(parse_range("bytes=0-3", 10), Range::Part(0, 3));
        assert_eq!(parse_range("bytes=4-", 10), Range::Part(4, 9));
        assert_eq!(parse_range("bytes=-3", 10), Range::Part(7, 9));
        assert_eq!(parse_range("bytes=-30", 10), Range::Part(0, 9));
        assert_eq!(parse_range("bytes=8-99", 10), Range::Part(8, 9));
        assert_eq!(parse_range("bytes=10-", 10), Range::Outside);
        assert_eq!(parse_range("bytes=3-1", 10), Range::Ignored);
        assert_eq!(parse_range("bytes=0-1,4-5", 10), Range::Ignored);
        assert_eq!(parse_range("lines=0-1", 10), Range::Ignored);
    }
}
