//! `GET /photos`: lists the photos of an account, page by page.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::PhotoFilter;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::photo_body::PhotoPage;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::{ApiQuery, PageQuery};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncludeQuery {
    /// `pending`: include photos that are not uploaded yet, or whose upload was rejected.
    #[param(inline)]
    include: Option<Included>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Included {
    Pending,
}

impl IncludeQuery {
    fn filter(&self) -> PhotoFilter {
        match self.include {
            None => PhotoFilter::TakenIn,
            Some(Included::Pending) => PhotoFilter::All,
        }
    }
}

/// List your photos, newest first. Photos that are not uploaded are left out by default.
#[utoipa::path(get, path = "/photos", tag = "photos", security(("bearer" = [])),
    params(PageQuery, IncludeQuery),
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
    ApiQuery(include): ApiQuery<IncludeQuery>,
) -> Result<Json<PhotoPage>, ApiError> {
    let (request, filter) = (query.parse()?, include.filter());
    let page = app.parts.photos.photos(user.id(), filter, request).await?;
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
