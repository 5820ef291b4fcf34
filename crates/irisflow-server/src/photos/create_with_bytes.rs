//! `POST /photos`: creates and uploads a photo in one request.

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use irisflow_jobs::{NewPhoto, PhotoId, UserId};
use irisflow_messages::text;

use super::photo_body::PhotoBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};

/// Upload a photo: the raw image as the body, or multipart with a file in any field.
#[utoipa::path(post, path = "/photos", tag = "photos", security(("bearer" = [])),
    request_body(content(
        (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"),
        (Vec<u8> = "multipart/form-data"))),
    responses(
        (status = 201, body = PhotoBody),
        (status = 400, description = "`not_an_image`", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 413, description = "`image_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_format`", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 503, description = "`busy`; `Retry-After` says when to try again", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(app): State<App>,
    user: CurrentUser,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Json<PhotoBody>), ApiError> {
    app.check_consent(&user).await?;
    app.check_storage(user.id(), content_length(&headers))
        .await?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream")
        .to_owned();
    let new = NewPhoto {
        id: PhotoId::generate(),
        user_id: user.id(),
        announced_type: content_type.chars().take(100).collect(),
    };
    let photo_id = app.announce_photo(new).await?.id;
    let received = if content_type.starts_with("multipart/form-data") {
        receive_multipart(&app, user.id(), photo_id, request).await
    } else {
        let pieces = request.into_body().into_data_stream();
        app.receive(user.id(), photo_id, pieces).await
    };
    if let Err(error) = received {
        app.parts
            .photos
            .record_upload_failure(user.id(), photo_id)
            .await?;
        return Err(error);
    }
    let photo = app.run_intake(user.id(), photo_id).await?;
    Ok((
        StatusCode::CREATED,
        Json(app.photo_body(&photo, &app.public_url.base(&headers))),
    ))
}

/// The value of `Content-Length`; 0 without one.
pub(crate) fn content_length(headers: &HeaderMap) -> u64 {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// Maximum size of a multipart form without the photo, in bytes.
const MULTIPART_INVALID: &str = "multipart_invalid";
const FORM_BYTES: usize = 64 * 1024;

async fn receive_multipart(
    app: &App,
    user_id: UserId,
    photo_id: PhotoId,
    mut request: Request<Body>,
) -> Result<(), ApiError> {
    // Replaces the router's limit, which is for JSON bodies.
    DefaultBodyLimit::max(app.settings.photo_limits.max_bytes + FORM_BYTES).apply(&mut request);
    let unreadable = |reason| ApiError::unparsed("body", reason, MULTIPART_INVALID);
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(rejection.body_text()))?;
    while let Some(field) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(error.body_text()))?
    {
        if field.file_name().is_some() || field.name() == Some("file") {
            return app.receive(user_id, photo_id, field).await;
        }
    }
    Err(ApiError::Invalid {
        loc: vec!["body".to_owned()],
        text: text!("invalid-form-without-file"),
        kind: MULTIPART_INVALID,
    })
}
