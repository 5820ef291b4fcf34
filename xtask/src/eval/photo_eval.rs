//! Evaluation on annotated photos of eyes, and on photos without a usable iris.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::load::EyePhoto;
use irisflow_image::plane::Plane;

use super::scoring::{
    self, Accuracy, Figures, Rejection, SegmentationOutcome, Truth, accuracy, is_iris_or_pupil,
    segment_bytes,
};
use super::{EvalArgs, candidate_evidence, overlays};

#[derive(serde::Deserialize)]
struct Annotations {
    files: BTreeMap<String, Annotation>,
}

#[derive(serde::Deserialize)]
struct Annotation {
    iris: AnnotatedEllipse,
    pupil: Option<AnnotatedEllipse>,
}

#[derive(serde::Deserialize, Clone, Copy)]
struct AnnotatedEllipse {
    cx: f32,
    cy: f32,
    rx: f32,
    ry: f32,
    #[serde(default)]
    angle: f32,
}

impl From<AnnotatedEllipse> for Ellipse {
    fn from(annotated: AnnotatedEllipse) -> Self {
        Self {
            cx: annotated.cx,
            cy: annotated.cy,
            rx: annotated.rx,
            ry: annotated.ry,
            angle_deg: annotated.angle,
        }
    }
}

/// The result of one annotated photo.
pub(super) struct EyeOutcome {
    pub name: String,
    pub found: Result<Accuracy, Rejection>,
    pub figures: Option<Figures>,
    pub milliseconds: f64,
}

/// Label of a photo without a usable iris: the expected rejection code and a description of its content.
#[derive(serde::Deserialize)]
pub(super) struct NegativeLabel {
    pub expect: String,
    pub kind: String,
}

pub(super) struct NegativeOutcome {
    pub name: String,
    pub label: NegativeLabel,
    /// The confidence of a false acceptance, or the rejection.
    pub accepted: Result<f32, Rejection>,
    pub figures: Option<Figures>,
}

pub(super) fn measure_eyes(args: &EvalArgs, data: &Path) -> anyhow::Result<Vec<EyeOutcome>> {
    let folder = data.join("eyes");
    let annotations: Annotations = read_json(&folder.join("annotations.json"))?;
    let mut outcomes = Vec::new();
    for (name, annotation) in annotations.files {
        let (photo, outcome) = segment_file(&folder.join(&name))?;
        print_and_draw(args, &name, &photo, &outcome)?;
        let mask = read_mask(&folder.join(&name).with_extension("mask.png"))?;
        let truth = Truth {
            iris: annotation.iris.into(),
            pupil: annotation.pupil.map(Ellipse::from),
            visible: &|x, y| is_iris_or_pupil(&mask, x, y),
            width: mask.width,
            height: mask.height,
        };
        outcomes.push(EyeOutcome {
            name,
            figures: scoring::figures(&photo, |found| Some(accuracy(found, &truth))),
            milliseconds: outcome.milliseconds,
            found: outcome.found.map(|found| accuracy(&found, &truth)),
        });
    }
    Ok(outcomes)
}

pub(super) fn measure_negatives(
    args: &EvalArgs,
    data: &Path,
) -> anyhow::Result<Vec<NegativeOutcome>> {
    let folder = data.join("negatives");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let labels: BTreeMap<String, NegativeLabel> = read_json(&folder.join("labels.json"))?;
    let mut outcomes = Vec::new();
    for (name, label) in labels {
        let (photo, outcome) = segment_file(&folder.join(&name))?;
        print_and_draw(args, &name, &photo, &outcome)?;
        outcomes.push(NegativeOutcome {
            name,
            label,
            figures: scoring::figures(&photo, |_| None),
            accepted: outcome.found.map(|found| found.confidence),
        });
    }
    Ok(outcomes)
}

fn print_and_draw(
    args: &EvalArgs,
    name: &str,
    photo: &EyePhoto,
    outcome: &SegmentationOutcome,
) -> anyhow::Result<()> {
    if args.explain {
        println!("{}", candidate_evidence::explain_photo(name, photo)?);
    }
    if let Some(folder) = &args.overlays {
        let path = folder.join(name).with_extension("png");
        overlays::write_overlay(&path, photo, outcome.found.as_ref().ok())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn segment_file(path: &Path) -> anyhow::Result<(EyePhoto, SegmentationOutcome)> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    segment_bytes(&bytes).with_context(|| format!("decoding {}", path.display()))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))
}

/// An 8-bit grey PNG: 1 visible iris, 2 pupil, 3 occluded.
fn read_mask(path: &Path) -> anyhow::Result<Plane> {
    let file = std::fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info()?;
    let size = reader
        .output_buffer_size()
        .context("the mask is too large")?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples)?;
    anyhow::ensure!(
        frame.color_type == png::ColorType::Grayscale && frame.bit_depth == png::BitDepth::Eight,
        "{} is not an 8-bit grey PNG",
        path.display()
    );
    Ok(Plane {
        width: frame.width,
        height: frame.height,
        samples,
    })
}
