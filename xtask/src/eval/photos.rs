//! Annotated photos of eyes, and photos without a usable iris.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::load::EyePhoto;
use irisflow_image::plane::Plane;

use super::score::{self, Accuracy, Answer, Figures, Refusal, Truth, accuracy, ask, mask_shows};
use super::{EvalArgs, drawing, explanation};

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

/// What came out for one annotated photo.
pub(super) struct EyeOutcome {
    pub name: String,
    pub found: Result<Accuracy, Refusal>,
    pub figures: Option<Figures>,
    pub milliseconds: f64,
}

/// What a photo without a usable iris shows, and what should be said to it.
#[derive(serde::Deserialize)]
pub(super) struct NegativeLabel {
    pub expect: String,
    pub kind: String,
}

pub(super) struct NegativeOutcome {
    pub name: String,
    pub label: NegativeLabel,
    /// The confidence, when it was taken for a usable iris.
    pub accepted: Result<f32, Refusal>,
    pub figures: Option<Figures>,
}

pub(super) fn measure_eyes(args: &EvalArgs, data: &Path) -> anyhow::Result<Vec<EyeOutcome>> {
    let folder = data.join("eyes");
    let annotations: Annotations = read_json(&folder.join("annotations.json"))?;
    let mut outcomes = Vec::new();
    for (name, annotation) in annotations.files {
        let (photo, answer) = ask_file(&folder.join(&name))?;
        after_look(args, &name, &photo, &answer)?;
        let mask = read_mask(&folder.join(&name).with_extension("mask.png"))?;
        let truth = Truth {
            iris: annotation.iris.into(),
            pupil: annotation.pupil.map(Ellipse::from),
            visible: &|x, y| mask_shows(&mask, x, y),
            width: mask.width,
            height: mask.height,
        };
        outcomes.push(EyeOutcome {
            name,
            figures: score::figures(&photo, |found| Some(accuracy(found, &truth))),
            milliseconds: answer.milliseconds,
            found: answer.found.map(|found| accuracy(&found, &truth)),
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
        let (photo, answer) = ask_file(&folder.join(&name))?;
        after_look(args, &name, &photo, &answer)?;
        outcomes.push(NegativeOutcome {
            name,
            label,
            figures: score::figures(&photo, |_| None),
            accepted: answer.found.map(|found| found.confidence),
        });
    }
    Ok(outcomes)
}

fn after_look(
    args: &EvalArgs,
    name: &str,
    photo: &EyePhoto,
    answer: &Answer,
) -> anyhow::Result<()> {
    if args.explain {
        println!("{}", explanation::explain_photo(name, photo)?);
    }
    if let Some(folder) = &args.overlays {
        let path = folder.join(name).with_extension("png");
        drawing::write_overlay(&path, photo, answer.found.as_ref().ok())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn ask_file(path: &Path) -> anyhow::Result<(EyePhoto, Answer)> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    ask(&bytes).with_context(|| format!("decoding {}", path.display()))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))
}

/// An 8-bit grey PNG: 1 visible iris, 2 pupil, 3 hidden.
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
