//! `POST /photos/{id}/confirm`: completes an upload.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{PhotoId, UploadStatus};
use serde::Deserialize;
use utoipa::ToSchema;

use super::photo_body::PhotoBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::{OptionalJson, PathId};

/// Properties of the file from the client. They are accepted and ignored: the server reads the file itself.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents what clients may send")]
pub(crate) struct ConfirmRequest {
    file_size: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
}

/// Confirm that the upload is complete. The server reads and checks the file, and removes its metadata (location,
/// camera). A repeated confirm returns the same response.
#[utoipa::path(post, path = "/photos/{id}/confirm", tag = "photos", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = Option<ConfirmRequest>,
    responses(
        (status = 200, body = PhotoBody),
        (status = 400, description = "`not_an_image`", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "Nothing was uploaded yet", body = ErrorBody),
        (status = 413, description = "`image_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_format`", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 503, description = "`busy`; `Retry-After` says when to confirm again", body = ErrorBody),
    ))]
pub(crate) async fn confirm(
    State(app): State<App>,
    user: CurrentUser,
    PathId(photo_id): PathId<PhotoId>,
    headers: HeaderMap,
    _claimed: OptionalJson<ConfirmRequest>,
) -> Result<Json<PhotoBody>, ApiError> {
    let photo = app.parts.photos.photo(user.id(), photo_id).await?;
    let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
    let photo = match photo.status {
        UploadStatus::Uploaded | UploadStatus::Expired => photo,
        UploadStatus::Pending | UploadStatus::Failed => {
            app.check_consent(&user).await?;
            app.run_intake(user.id(), photo_id).await?
        }
    };
    Ok(Json(app.photo_body(&photo, &app.public_url.base(&headers))))
}
