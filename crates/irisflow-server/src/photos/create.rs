//! `POST /photos`: the whole upload in one call, for clients that want one.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::{Stream, StreamExt as _};
use irisflow_jobs::{NewPhoto, PhotoId};
use irisflow_photos::ObjectKey;

use super::view::PhotoBody;
use crate::app::{App, AppState};
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
    ))]
pub(crate) async fn create(
    State(app): State<App>,
    user: CurrentUser,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Json<PhotoBody>), ApiError> {
    app.check_consent(&user).await?;
    app.check_storage(user.id(), announced_bytes(&headers))
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
    let photo_id = new.id;
    let key = ObjectKey::Incoming {
        user_id: user.id(),
        photo_id,
    };
    app.parts.photos.add_photo(new).await?;
    let received = if content_type.starts_with("multipart/form-data") {
        receive_multipart(&app, key, request).await
    } else {
        app.receive(key, request.into_body().into_data_stream())
            .await
    };
    if let Err(error) = received {
        app.parts.photos.photo_failed(user.id(), photo_id).await?;
        return Err(error);
    }
    let photo = app.take_in(user.id(), photo_id).await?;
    Ok((
        StatusCode::CREATED,
        Json(app.photo_body(&photo, &app.public_url.base(&headers))),
    ))
}

/// Nothing when nothing is announced.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> u64 {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

async fn receive_multipart(
    app: &AppState,
    key: ObjectKey,
    request: Request<Body>,
) -> Result<(), ApiError> {
    let unreadable = |msg: String| ApiError::Invalid {
        loc: vec!["body".to_owned()],
        msg,
        kind: "multipart_invalid",
    };
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(rejection.body_text()))?;
    while let Some(field) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(error.body_text()))?
    {
        if field.file_name().is_some() || field.name() == Some("file") {
            return app.receive(key, field).await;
        }
    }
    Err(unreadable(
        "no file in the form: send the photo in a field named `file`".to_owned(),
    ))
}

impl AppState {
    /// Streams an upload to storage, up to the limit on bytes. What was received of a larger one, or
    /// of one that breaks off, is dropped.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        key: ObjectKey,
        mut pieces: impl Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    ) -> Result<(), ApiError> {
        let limit_bytes = self.settings.photo_limits.max_bytes as u64;
        let files = self.parts.files.clone();
        let mut incoming = tokio::task::spawn_blocking(move || files.begin_put(key)).await??;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| ApiError::Invalid {
                loc: vec!["body".to_owned()],
                msg: format!("the upload broke off: {error}"),
                kind: "body_incomplete",
            })?;
            if incoming.size_bytes() + piece.len() as u64 > limit_bytes {
                return Err(ApiError::BodyTooLarge { limit_bytes });
            }
            incoming =
                tokio::task::spawn_blocking(move || incoming.write(&piece).map(|()| incoming))
                    .await??;
        }
        tokio::task::spawn_blocking(move || incoming.finish()).await??;
        Ok(())
    }
}
