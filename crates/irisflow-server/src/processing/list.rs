//! `GET /processing/jobs`

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::JobFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::JobPage;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::{ApiQuery, PageQuery, invalid_query};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatusQuery {
    /// `pending`, `processing`, `completed`, `failed` or `cancelled`; all when left out.
    status: Option<String>,
}

impl StatusQuery {
    fn parse(&self) -> Result<JobFilter, ApiError> {
        match self.status.as_deref() {
            None | Some("") => Ok(JobFilter::All),
            Some("pending") => Ok(JobFilter::Pending),
            Some("processing") => Ok(JobFilter::Processing),
            Some("completed") => Ok(JobFilter::Completed),
            Some("failed") => Ok(JobFilter::Failed),
            Some("cancelled") => Ok(JobFilter::Cancelled),
            Some(_) => Err(invalid_query(
                "status",
                "one of pending, processing, completed, failed, cancelled",
            )),
        }
    }
}

/// Your jobs, newest first.
#[utoipa::path(get, path = "/processing/jobs", tag = "processing", security(("bearer" = [])),
    params(PageQuery, StatusQuery),
    responses(
        (status = 200, body = JobPage),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn list(
    State(app): State<App>,
    user: CurrentUser,
    headers: HeaderMap,
    ApiQuery(page): ApiQuery<PageQuery>,
    ApiQuery(status): ApiQuery<StatusQuery>,
) -> Result<Json<JobPage>, ApiError> {
    let (request, filter) = (page.parse()?, status.parse()?);
    let page = app.parts.jobs.jobs(user.id(), filter, request).await?;
    let base = app.public_url.base(&headers);
    let mut items = Vec::with_capacity(page.items.len());
    for job in &page.items {
        let photo = app.parts.photos.photo(user.id(), job.photo_id).await?;
        items.push(app.job_status_body(job, photo.as_ref(), &base));
    }
    Ok(Json(JobPage {
        items,
        total: page.total,
        page: request.page,
        page_size: request.page_size,
    }))
}
