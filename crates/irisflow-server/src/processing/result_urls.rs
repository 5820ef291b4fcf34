//! Presigned URLs of the pictures of a finished job.

use irisflow_jobs::{JobId, JobResult, UserId};
use irisflow_photos::ResultKeys;
use serde::Serialize;
use utoipa::ToSchema;

use super::picture_options::OutlineName;
use crate::app::AppState;
use crate::public_url::BaseUrl;

#[derive(Debug)]
pub(crate) struct ResultUrls {
    pub(crate) result: String,
    pub(crate) mask: String,
    pub(crate) before: String,
    pub(crate) thumbnail: Option<String>,
    pub(crate) alternative: Option<AlternativeBody>,
}

/// The picture with the other outline.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AlternativeBody {
    outline: OutlineName,
    /// A presigned URL, as all URLs here.
    result_url: String,
    /// Its mask.
    mask_url: String,
}

impl AppState {
    /// Signs the URLs, whose lifetime starts now.
    pub(crate) fn result_urls(
        &self,
        user_id: UserId,
        job_id: JobId,
        result: &JobResult,
        base: &BaseUrl,
    ) -> ResultUrls {
        let keys = ResultKeys::new(user_id, job_id, result);
        let url = |key| self.download_url(base, &key);
        ResultUrls {
            result: url(keys.result),
            mask: url(keys.mask),
            before: url(keys.before),
            thumbnail: keys.thumbnail.map(url),
            alternative: keys.alternative.map(|keys| AlternativeBody {
                outline: keys.outline.into(),
                result_url: url(keys.result),
                mask_url: url(keys.mask),
            }),
        }
    }
}
