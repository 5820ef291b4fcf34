//! `GET /photos/{id}`: shows one photo.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::PhotoId;

use super::photo_body::PhotoBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Show one of your photos.
#[utoipa::path(get, path = "/photos/{id}", tag = "photos", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses(
        (status = 200, body = PhotoBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn show(
    State(app): State<App>,
    user: CurrentUser,
    PathId(photo_id): PathId<PhotoId>,
    headers: HeaderMap,
) -> Result<Json<PhotoBody>, ApiError> {
    let photo = app.parts.photos.photo(user.id(), photo_id).await?;
    let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
    Ok(Json(app.photo_body(&photo, &app.public_url.base(&headers))))
}
