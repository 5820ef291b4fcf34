//! What the description of the API says beside what the handlers say themselves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::files;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Irisflow",
        description = "Submit a photo of an eye, watch it being worked on live, get a picture of the \
            iris.\n\nLive progress of a job: `GET /ws/jobs/{job_id}?token=ACCESS_TOKEN`, a WebSocket \
            of JSON text frames `{job_id, status, progress, step, timestamp}`, then one final frame \
            and close code 1000.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(files::read, files::write),
    modifiers(&Bearer, &FilesUnderBase),
    tags(
        (name = "accounts"), (name = "privacy"), (name = "photos"), (name = "processing"), (name = "files"),
        (name = "health"),
    )
)]
pub(crate) struct ApiDescription;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The file routes are written by hand in the router, so their base is added here.
struct FilesUnderBase;

impl Modify for FilesUnderBase {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let paths = std::mem::take(&mut openapi.paths.paths);
        openapi.paths.paths = paths
            .into_iter()
            .map(|(path, item)| (format!("/api/v1{path}"), item))
            .collect();
    }
}
