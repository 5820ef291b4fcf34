//! The published schema of the frames: JSON Schema (docs/events.schema.json) and AsyncAPI (docs/asyncapi.json), both
//! generated from the types of the frames.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::client_frames::ClientFrame;
use super::user_frames::{ChainFrame, ServerFrame};

#[derive(OpenApi)]
#[openapi(components(schemas(ChainFrame, ServerFrame, ClientFrame)))]
struct Frames;

/// Schemas of the frames by name. `$ref`s begin with `reference`.
fn schemas(reference: &str) -> Map<String, Value> {
    // The description holds only names and texts, which always serialize.
    let description = serde_json::to_value(Frames::openapi()).unwrap_or_default();
    let mut schemas = match &description["components"]["schemas"] {
        Value::Object(schemas) => schemas.clone(),
        _ => Map::new(),
    };
    schemas
        .values_mut()
        .for_each(|schema| rewrite(schema, reference));
    schemas
}

/// Turns an OpenAPI schema into a plain JSON schema: references, and no discriminators or examples.
fn rewrite(schema: &mut Value, reference: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, reference)),
        Value::Object(fields) => {
            fields.remove("discriminator");
            fields.remove("example");
            if let Some(Value::String(name)) = fields.get_mut("$ref") {
                *name = name.replace("#/components/schemas/", reference);
            }
            fields
                .values_mut()
                .for_each(|field| rewrite(field, reference));
        }
        _ => {}
    }
}

/// The JSON schema of a frame that the server sends on `GET /ws` and `GET /api/v1/events`. `$defs` also holds the frames
/// of clients (`ClientFrame`) and the event itself (`EventObject`), which webhooks deliver too.
pub fn event_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Irisflow live frames",
        "oneOf": [
            { "$ref": "#/$defs/ChainFrame" },
            { "$ref": "#/$defs/ServerFrame" },
        ],
        "$defs": schemas("#/$defs/"),
    })
}

/// The AsyncAPI description of `GET /ws`.
pub fn asyncapi() -> Value {
    let message = |name: &str, title: &str| {
        json!({
            "title": title,
            "contentType": "application/json",
            "payload": { "$ref": format!("#/components/schemas/{name}") },
        })
    };
    let channel_message =
        |name: &str| json!({ "$ref": format!("#/channels/timeline/messages/{name}") });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Irisflow live events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "All jobs of a user on one WebSocket. The client's first frame is a `hello`, with its last \
                cursor and with credentials unless the request had them (`?ticket=`, `?token=`, or the sub-protocol \
                `bearer.TOKEN` beside `irisflow.v1`). `GET /api/v1/events` sends the same frames as server-sent events \
                or as the answer of a long poll.",
        },
        "channels": {
            "timeline": {
                "address": "/ws",
                "messages": {
                    "chain": message("ChainFrame", "Snapshots and events, each with a cursor"),
                    "beside": message("ServerFrame", "Frames beside the chain of events"),
                    "client": message("ClientFrame", "Frames of the client"),
                },
                "bindings": { "ws": { "method": "GET" } },
            },
        },
        "operations": {
            "send": {
                "action": "send",
                "channel": { "$ref": "#/channels/timeline" },
                "messages": [channel_message("chain"), channel_message("beside")],
            },
            "receive": {
                "action": "receive",
                "channel": { "$ref": "#/channels/timeline" },
                "messages": [channel_message("client")],
            },
        },
        "components": { "schemas": schemas("#/components/schemas/") },
    })
}
