//! `DELETE /photos/{id}`: deletes a photo with its jobs.

use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::PhotoId;

use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Delete a photo and everything made from it: jobs, results, masks.
#[utoipa::path(delete, path = "/photos/{id}", tag = "photos", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    user: CurrentUser,
    PathId(photo_id): PathId<PhotoId>,
) -> Result<StatusCode, ApiError> {
    if app.parts.photos.delete_photo(user.id(), photo_id).await? {
        tracing::info!(%photo_id, "photo deleted");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound(Missing::Photo))
    }
}
