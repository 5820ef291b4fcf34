//! JSON of previews.

use irisflow_jobs::{JobId, Preview, PreviewKind, UserId};
use irisflow_photos::{JobObject, ObjectKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::public_url::BaseUrl;

/// A small picture (JPEG, up to 512 pixels on the longer side) of a job's work in progress.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PreviewBody {
    kind: PreviewKindName,
    /// A presigned URL.
    url: String,
    width: u32,
    height: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PreviewKindName {
    /// The outline that was found, drawn on the photo.
    Outline,
    /// The reflections that were taken off. There is none of a photo without reflections.
    Light,
    /// The result, small.
    Result,
}

impl From<PreviewKind> for PreviewKindName {
    fn from(kind: PreviewKind) -> Self {
        match kind {
            PreviewKind::Outline => Self::Outline,
            PreviewKind::Light => Self::Light,
            PreviewKind::Result => Self::Result,
        }
    }
}

impl AppState {
    /// Signs the URLs, whose lifetime starts now.
    pub(crate) fn preview_bodies(
        &self,
        user_id: UserId,
        job_id: JobId,
        previews: &[Preview],
        base: &BaseUrl,
    ) -> Vec<PreviewBody> {
        let body = |preview: &Preview| {
            let object = JobObject::Preview(preview.kind);
            let key = ObjectKey::of_job(user_id, job_id, preview.epoch, object);
            PreviewBody {
                kind: preview.kind.into(),
                url: self.download_url(base, &key),
                width: preview.width_px,
                height: preview.height_px,
            }
        };
        previews.iter().map(body).collect()
    }
}
