//! JSON of segmentation, quality and rejection, shared by all commands. Coordinates are pixels of the upright
//! photo.

use irisflow_image::geometry::Ellipse;
use irisflow_image::rejection::Rejection;
use irisflow_image::segment::{IrisSegmentation, Quality};
use irisflow_messages::{Language, photos};
use serde_json::{Map, Value, json};

/// Adds the fields of the iris to the JSON object `report`; they are null when there is none.
pub(crate) fn with_iris(mut report: Value, found: Option<&IrisSegmentation>) -> Value {
    if let Some(report) = report.as_object_mut() {
        report.extend(iris_fields(found));
    }
    report
}

fn iris_fields(found: Option<&IrisSegmentation>) -> Map<String, Value> {
    let fields = [
        ("iris", found.map(|found| ellipse(&found.iris))),
        ("pupil", found.map(|found| ellipse(&found.pupil))),
        ("upper_lid", found.map(|found| line(&found.upper_lid))),
        ("lower_lid", found.map(|found| line(&found.lower_lid))),
        ("quality", found.map(|found| quality(&found.quality))),
        (
            "quality_score",
            found.map(|found| json!(found.quality.score())),
        ),
        ("confidence", found.map(|found| json!(found.confidence))),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

pub(crate) fn rejection(rejection: &Rejection) -> Value {
    let advice = photos::rejection(rejection);
    let missed = rejection.missed_limit();
    json!({
        "code": rejection.code().as_str(),
        "message": advice.message.in_language(Language::PROGRAM),
        "suggestion": advice.suggestion.in_language(Language::PROGRAM),
        "figure": missed.map(|missed| missed.figure),
        "value": missed.map(|missed| missed.value),
        "threshold": missed.map(|missed| missed.threshold),
    })
}

pub(crate) fn photo((width, height): (u32, u32)) -> Value {
    json!({ "width": width, "height": height })
}

fn ellipse(ellipse: &Ellipse) -> Value {
    json!({
        "cx": ellipse.cx,
        "cy": ellipse.cy,
        "rx": ellipse.rx,
        "ry": ellipse.ry,
        "angle_deg": ellipse.angle_deg,
    })
}

fn line(points: &[(f32, f32)]) -> Value {
    points.iter().map(|&(x, y)| json!([x, y])).collect()
}

pub(crate) fn quality(quality: &Quality) -> Value {
    let named = quality.named().into_iter();
    named
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}
