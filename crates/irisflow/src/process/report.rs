//! NAME.json: what was found in a photo, or why it cannot be used. Coordinates are pixels of the
//! upright photo.

use irisflow_image::geometry::Ellipse;
use irisflow_image::load::PhotoHeader;
use irisflow_image::pipeline::{ProcessedIris, Stage};
use irisflow_image::rejection::Rejection;
use irisflow_image::segment::Quality;
use serde_json::{Map, Value, json};

pub(super) fn completed(iris: &ProcessedIris) -> Value {
    let (width, height) = iris.photo_size;
    let found = &iris.segmentation;
    json!({
        "status": "completed",
        "rejection": null,
        "photo": { "width": width, "height": height },
        "result": { "width": iris.width, "height": iris.height },
        "iris": ellipse(&found.iris),
        "pupil": ellipse(&found.pupil),
        "upper_lid": line(&found.upper_lid),
        "lower_lid": line(&found.lower_lid),
        "quality": quality(&found.quality),
        "quality_score": found.quality.score(),
        "confidence": found.confidence,
        "steps_ms": steps_ms(&iris.stage_ms),
    })
}

pub(super) fn rejected(rejection: &Rejection, header: Option<&PhotoHeader>) -> Value {
    let photo = header.map(|header| json!({ "width": header.width, "height": header.height }));
    json!({
        "status": "rejected",
        "rejection": {
            "code": rejection.code.as_str(),
            "message": rejection.message,
            "suggestion": rejection.suggestion,
            "value": rejection.value,
            "threshold": rejection.threshold,
        },
        "photo": photo,
    })
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

fn quality(quality: &Quality) -> Value {
    let named = quality.named().into_iter();
    named
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

fn steps_ms(stage_ms: &[f64; 5]) -> Value {
    let rounded = |ms: f64| json!((ms * 100.0).round() / 100.0);
    let steps = Stage::ALL.iter().zip(stage_ms);
    let steps: Map<String, Value> = steps
        .map(|(stage, &ms)| (stage.as_str().to_owned(), rounded(ms)))
        .collect();
    Value::Object(steps)
}
