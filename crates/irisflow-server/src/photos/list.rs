//! `GET /photos`

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::view::PhotoPage;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::{ApiQuery, PageQuery};

/// Your photos, newest first.
#[utoipa::path(get, path = "/photos", tag = "photos", security(("bearer" = [])), params(PageQuery),
    responses(
        (status = 200, body = PhotoPage),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn list(
    State(app): State<App>,
    user: CurrentUser,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<PhotoPage>, ApiError> {
    let request = query.parse()?;
    let page = app.parts.photos.photos(user.id(), request).await?;
    let base = app.public_url.base(&headers);
    Ok(Json(PhotoPage {
        items: page
            .items
            .iter()
            .map(|photo| app.photo_body(photo, &base))
            .collect(),
        total: page.total,
        page: request.page,
        page_size: request.page_size,
    }))
}
