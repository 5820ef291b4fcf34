//! The JSON report of `irisflow process` (NAME.json): the figures of the iris, or the rejection.

use irisflow_image::geometry::QuarterTurn;
use irisflow_image::load::PhotoHeader;
use irisflow_image::pipeline::{ProcessedIris, Stage};
use irisflow_image::rejection::Rejection;
use irisflow_image::upright::turned;
use serde_json::{Map, Value, json};

use crate::iris_report;

pub(super) fn completed(iris: &ProcessedIris) -> Value {
    let report = json!({
        "status": "completed",
        "rejection": null,
        "photo": iris_report::photo(iris.photo_size),
        "turn": iris.turn.map(QuarterTurn::as_str),
        "result": { "width": iris.width, "height": iris.height },
        "steps_ms": steps_ms(&iris.stage_ms),
    });
    let (width, height) = iris.photo_size;
    let found = iris.turn.map(|turn| {
        let turned_size = (height, width);
        turned(&iris.segmentation, turn.reversed(), turned_size)
    });
    let found = found.as_ref().unwrap_or(&iris.segmentation);
    let mut report = iris_report::with_iris(report, Some(found));
    // The same values as `irisflow check`: quality of the photo, not of the result.
    report["quality"] = iris_report::quality(&iris.judged);
    report["quality_score"] = json!(iris.judged.score());
    report["filled_share"] = json!(iris.filled_share);
    report["outline"] = json!(iris.outline.as_str());
    report["pupil_certain"] = json!(iris.pupil_certain);
    report
}

pub(super) fn rejected(rejection: &Rejection, header: Option<&PhotoHeader>) -> Value {
    json!({
        "status": "rejected",
        "rejection": iris_report::rejection(rejection),
        "photo": header.map(|header| iris_report::photo((header.width, header.height))),
    })
}

fn steps_ms(stage_ms: &[f64; 5]) -> Value {
    let rounded = |ms: f64| json!((ms * 100.0).round() / 100.0);
    let steps = Stage::ALL.iter().zip(stage_ms);
    let steps: Map<String, Value> = steps
        .map(|(stage, &ms)| (stage.as_str().to_owned(), rounded(ms)))
        .collect();
    Value::Object(steps)
}
