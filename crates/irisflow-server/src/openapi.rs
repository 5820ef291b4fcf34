//! OpenAPI description: its general part, and what is completed in the descriptions of the handlers.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa::{Modify, OpenApi};

use crate::files;
use crate::processing::idempotency;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Irisflow",
        description = "Submit a photo of an eye, watch it being worked on live, get a picture of the \
            iris.\n\nLive progress of a job: `GET /ws/jobs/{job_id}?token=ACCESS_TOKEN`, a WebSocket \
            of JSON text frames `{job_id, status, progress, step, timestamp}`, then one final frame \
            and close code 1000.\n\nAll jobs on one connection: `GET /ws`, a WebSocket, described in \
            docs/asyncapi.json, or `GET /api/v1/events`.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(files::read, files::write),
    modifiers(&Bearer, &FilesUnderBase),
    tags(
        (name = "accounts"), (name = "privacy"), (name = "photos"), (name = "processing"), (name = "events"),
        (name = "webhooks"), (name = "files"),
        (name = "health"),
    )
)]
pub(crate) struct ApiDescription;

/// Error responses that every route may send: (status, description, only of routes that need a token).
const COMMON_ERRORS: [(&str, &str, bool); 9] = [
    (
        "401",
        "`not_authenticated`, `invalid_token` or `token_expired`",
        true,
    ),
    ("403", "`account_inactive`", true),
    (
        "408",
        "`request_timeout`: the request came too slowly",
        false,
    ),
    (
        "409",
        "`conflict`: what this refers to was changed or deleted in the meantime",
        true,
    ),
    (
        "413",
        "`body_too_large`, `image_too_large` or `storage_full`",
        false,
    ),
    (
        "429",
        "`rate_limited`, `too_many_attempts` or `queue_full`; see Retry-After",
        false,
    ),
    ("500", "`internal`: our fault", false),
    ("503", "`unavailable`: try again shortly", false),
    ("504", "`timed_out`: our work took too long", false),
];

/// Completes each operation: schemas of parameters and photo bodies, and common error responses.
pub(crate) fn complete(openapi: &mut utoipa::openapi::OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    describe_parameter(parameter);
                }
            }
            describe_photo_bodies(operation);
            let secured = operation.security.is_some();
            for (status, description, only_secured) in COMMON_ERRORS {
                if secured || !only_secured {
                    let response = || error_response(description).into();
                    let responses = &mut operation.responses.responses;
                    responses.entry(status.to_owned()).or_insert_with(response);
                }
            }
        }
    }
}

/// Sets the schema of a parameter by its name, the same in all operations.
fn describe_parameter(parameter: &mut Parameter) {
    let schema = match (parameter.name.as_str(), &parameter.parameter_in) {
        ("id" | "delivery_id", ParameterIn::Path) => {
            text().format(Some(SchemaFormat::Custom("uuid".to_owned())))
        }
        ("job_id", ParameterIn::Query) => text().pattern(Some(UUIDS)),
        ("Idempotency-Key", ParameterIn::Header) => text()
            .min_length(Some(1))
            .max_length(Some(idempotency::MAX_BYTES))
            // No spaces at the ends, since whitespace around a header value is not part of it (RFC 9110).
            .pattern(Some("^[!-~]([ -~]*[!-~])?$")),
        _ => return,
    };
    parameter.schema = Some(RefOr::T(Schema::Object(schema.build())));
}

/// Up to 200 ids separated by commas.
const UUIDS: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(,[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}){0,199}$";

/// Sets the schema of request bodies with a photo: the bytes themselves, or the `file` of a multipart form.
fn describe_photo_bodies(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for (content_type, content) in &mut body.content {
        let RefOr::T(content) = content else {
            continue;
        };
        if content_type.starts_with("image/") {
            content.schema = Some(RefOr::T(Schema::Object(file())));
        } else if content_type == "multipart/form-data" {
            let form = ObjectBuilder::new()
                .property("file", file())
                .required("file");
            content.schema = Some(RefOr::T(Schema::Object(form.build())));
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn file() -> Object {
    let binary = SchemaFormat::Custom("binary".to_owned());
    text().format(Some(binary)).min_length(Some(1)).build()
}

fn error_response(description: &str) -> Response {
    let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", body)
        .build()
}

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

/// Adds the base path to the file routes, which are described outside of the nested API router.
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
