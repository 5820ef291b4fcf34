//! `POST /photos/upload`: creates a photo and returns a presigned URL for its upload.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use irisflow_jobs::{NewPhoto, PhotoId};
use irisflow_messages::text;
use irisflow_photos::ObjectKey;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::{ApiQuery, OptionalJson};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    /// Media type of the upload; also accepted in the body. `image/jpeg` if omitted.
    #[param(pattern = "^image/[A-Za-z0-9.+-]+$", max_length = 100)]
    content_type: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct UploadRequest {
    #[schema(
        pattern = "^image/[A-Za-z0-9.+-]+$",
        max_length = 100,
        example = "image/jpeg"
    )]
    content_type: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UploadBody {
    /// PUT the bytes here within 15 minutes, with the same Content-Type and without a bearer token; then confirm. A
    /// photo that is not confirmed in time is deleted.
    upload_url: String,
    photo_id: String,
    s3_key: String,
    /// Maximum size of a photo on this server, in bytes.
    max_bytes: u64,
}

/// Create a photo and get a presigned URL for its upload.
#[utoipa::path(post, path = "/photos/upload", tag = "photos", security(("bearer" = [])),
    params(UploadQuery), request_body = Option<UploadRequest>,
    responses(
        (status = 201, body = UploadBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 429, description = "`too_many_unconfirmed`: confirm or delete some first; also `rate_limited`",
            body = ErrorBody),
    ))]
pub(crate) async fn upload(
    State(app): State<App>,
    user: CurrentUser,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<UploadQuery>,
    OptionalJson(request): OptionalJson<UploadRequest>,
) -> Result<(StatusCode, Json<UploadBody>), ApiError> {
    if let Some(in_query) = &query.content_type {
        check_image_type(in_query)?;
    }
    let content_type = request
        .and_then(|request| request.content_type)
        .or(query.content_type)
        .unwrap_or_else(|| "image/jpeg".to_owned());
    check_image_type(&content_type)?;
    app.check_consent(&user).await?;
    app.check_storage(user.id(), 0).await?;
    let new = NewPhoto {
        id: PhotoId::generate(),
        user_id: user.id(),
        announced_type: content_type.clone(),
    };
    let photo = app.announce_photo(new).await?;
    let key = ObjectKey::Incoming {
        user_id: user.id(),
        photo_id: photo.id,
    };
    let base = app.public_url.base(&headers);
    let body = UploadBody {
        upload_url: app.upload_url(&base, &key, &content_type),
        photo_id: photo.id.to_string(),
        s3_key: key.to_string(),
        max_bytes: app.settings.photo_limits.max_bytes as u64,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Accepts any image type; the actual format is detected from the bytes later.
fn check_image_type(content_type: &str) -> Result<(), ApiError> {
    let subtype = content_type.strip_prefix("image/").unwrap_or_default();
    let is_well_formed = subtype
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    if is_well_formed && !subtype.is_empty() && content_type.len() <= 100 {
        Ok(())
    } else {
        Err(ApiError::invalid_field(
            "content_type",
            text!("invalid-image-type"),
        ))
    }
}
