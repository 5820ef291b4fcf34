//! `GET /processing/jobs`: lists the jobs of an account, page by page.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{BatchId, Job, JobFilter, StatusFilter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::job_body::JobPage;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::{ApiQuery, PageQuery};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// Only jobs with this status.
    #[param(inline)]
    status: Option<StatusName>,
    /// Only the jobs of this batch.
    batch_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusName {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

impl FilterQuery {
    fn parse(&self) -> JobFilter {
        let status = self.status.map(|status| match status {
            StatusName::Pending => StatusFilter::Pending,
            StatusName::Processing => StatusFilter::Processing,
            StatusName::Completed => StatusFilter::Completed,
            StatusName::Failed => StatusFilter::Failed,
            StatusName::Cancelled => StatusFilter::Cancelled,
        });
        JobFilter {
            status,
            batch_id: self.batch_id.map(BatchId::from),
        }
    }
}

/// List your jobs, newest first.
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
    let (request, filter) = (page.parse()?, filter.parse());
    let page = app
        .parts
        .job_reader
        .jobs(user.id(), filter, request)
        .await?;
    let jobs = page.items.into_iter();
    let jobs: Vec<Job> = jobs.map(|job| app.with_result_from_cache(job)).collect();
    let base = app.public_url.base(&headers);
    Ok(Json(JobPage {
        items: app.job_status_bodies(user.id(), &jobs, &base).await?,
        total: page.total,
        page: request.page,
        page_size: request.page_size,
    }))
}
