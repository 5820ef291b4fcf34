//! `GET /processing/jobs`

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{BatchId, Job, JobFilter, StatusFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::view::JobPage;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::{ApiQuery, PageQuery, invalid_query};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// `pending`, `processing`, `completed`, `failed` or `cancelled`; all when left out.
    status: Option<String>,
    /// Only the jobs of this batch.
    batch_id: Option<Uuid>,
}

impl FilterQuery {
    fn parse(&self) -> Result<JobFilter, ApiError> {
        let status = match self.status.as_deref() {
            None | Some("") => None,
            Some("pending") => Some(StatusFilter::Pending),
            Some("processing") => Some(StatusFilter::Processing),
            Some("completed") => Some(StatusFilter::Completed),
            Some("failed") => Some(StatusFilter::Failed),
            Some("cancelled") => Some(StatusFilter::Cancelled),
            Some(_) => {
                return Err(invalid_query(
                    "status",
                    "one of pending, processing, completed, failed, cancelled",
                ));
            }
        };
        Ok(JobFilter {
            status,
            batch_id: self.batch_id.map(BatchId::from),
        })
    }
}

/// Your jobs, newest first.
#[utoipa::path(get, path = "/processing/jobs", tag = "processing", security(("bearer" = [])),
    params(PageQuery, FilterQuery),
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
    ApiQuery(filter): ApiQuery<FilterQuery>,
) -> Result<Json<JobPage>, ApiError> {
    let (request, filter) = (page.parse()?, filter.parse()?);
    let page = app.parts.jobs.jobs(user.id(), filter, request).await?;
    let jobs = page.items.into_iter();
    let jobs: Vec<Job> = jobs.map(|job| app.with_known_result(job)).collect();
    let base = app.public_url.base(&headers);
    Ok(Json(JobPage {
        items: app.job_status_bodies(user.id(), &jobs, &base).await?,
        total: page.total,
        page: request.page,
        page_size: request.page_size,
    }))
}
