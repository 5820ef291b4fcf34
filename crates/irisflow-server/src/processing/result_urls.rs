//! Presigned URLs of the pictures of a finished job.

use irisflow_jobs::{JobId, JobResult, UserId};
use irisflow_photos::ResultKeys;

use crate::app::AppState;
use crate::public_url::BaseUrl;

#[derive(Debug)]
pub(crate) struct ResultUrls {
    pub(crate) result: String,
    pub(crate) mask: String,
    pub(crate) before: String,
    pub(crate) thumbnail: Option<String>,
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
        }
    }
}
