//! `cargo xtask eval`: how well the iris is found, measured on annotated photos.
//!
//! Reads a folder with `eyes/` (`annotations.json`, `NAME.jpg`, `NAME.mask.png`) and `negatives/`
//! (`labels.json`). Every figure in the table comes from the run that printed it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::segment::{IrisSegmentation, Label, PhotoPixels as _, explain, segment_iris};

/// Measure how well the iris is found in annotated photos.
#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    /// Folder with `eyes/` and `negatives/`
    #[arg(long)]
    data: PathBuf,
    /// Write the table here as well
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write a picture per photo with what was found drawn into it
    #[arg(long)]
    overlays: Option<PathBuf>,
    /// Show the best candidates of each photo with what spoke for and against them
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: EvalArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.overlays {
        std::fs::create_dir_all(folder)?;
    }
    let eyes = measure_eyes(&args)?;
    let negatives = measure_negatives(&args)?;
    let report = report(&eyes, &negatives)?;
    print_out(&report);
    if let Some(path) = &args.out {
        std::fs::write(path, &report).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn print_out(text: &str) {
    println!("{text}");
}

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

#[derive(serde::Deserialize)]
struct NegativeLabel {
    expect: String,
    kind: String,
}

/// What came out for one photo.
struct Outcome {
    name: String,
    /// A rejection's code, or how well the iris was met.
    found: Result<Accuracy, String>,
    milliseconds: f64,
}

struct Accuracy {
    overlap: f64,
    centre_error: f64,
    radius_error: f64,
    pupil_error: Option<f64>,
    confidence: f32,
}

struct NegativeOutcome {
    name: String,
    label: NegativeLabel,
    /// The confidence, when a non-eye was taken for an eye.
    accepted: Option<f32>,
    code: String,
}

fn measure_eyes(args: &EvalArgs) -> anyhow::Result<Vec<Outcome>> {
    let folder = args.data.join("eyes");
    let annotations: Annotations = read_json(&folder.join("annotations.json"))?;
    let mut outcomes = Vec::new();
    for (name, annotation) in annotations.files {
        let photo = read_photo(&folder.join(&name))?;
        let started = now();
        let segmented = segment_iris(&photo);
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        after_look(args, &name, &photo, segmented.as_ref().ok())?;
        let mask = read_mask(&folder.join(&name).with_extension("mask.png"))?;
        let found = match segmented {
            Ok(found) => Ok(accuracy(&found, &annotation, &mask)),
            Err(rejection) => Err(rejection.code.as_str().to_owned()),
        };
        outcomes.push(Outcome {
            name,
            found,
            milliseconds,
        });
    }
    Ok(outcomes)
}

fn measure_negatives(args: &EvalArgs) -> anyhow::Result<Vec<NegativeOutcome>> {
    let folder = args.data.join("negatives");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let labels: BTreeMap<String, NegativeLabel> = read_json(&folder.join("labels.json"))?;
    let mut outcomes = Vec::new();
    for (name, label) in labels {
        let photo = read_photo(&folder.join(&name))?;
        let segmented = segment_iris(&photo);
        after_look(args, &name, &photo, segmented.as_ref().ok())?;
        let (accepted, code) = match segmented {
            Ok(found) => (Some(found.confidence), "accepted".to_owned()),
            Err(rejection) => (None, rejection.code.as_str().to_owned()),
        };
        outcomes.push(NegativeOutcome {
            name,
            label,
            accepted,
            code,
        });
    }
    Ok(outcomes)
}

fn now() -> Instant {
    Instant::now()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))
}

fn read_photo(path: &Path) -> anyhow::Result<EyePhoto> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    load_photo(&bytes, &Limits::default()).with_context(|| format!("decoding {}", path.display()))
}

/// An 8-bit grey PNG: 1 visible iris, 2 pupil, 3 hidden.
fn read_mask(path: &Path) -> anyhow::Result<Plane> {
    let file = std::fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info()?;
    let mut samples = vec![
        0;
        reader
            .output_buffer_size()
            .context("the mask is too large")?
    ];
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

fn accuracy(found: &IrisSegmentation, truth: &Annotation, mask: &Plane) -> Accuracy {
    let iris = Ellipse::from(truth.iris);
    let radius = f64::from(iris.mean_radius());
    let percent_of_radius = |distance: f32| 100.0 * f64::from(distance) / radius;
    Accuracy {
        overlap: visible_overlap(found, mask),
        centre_error: percent_of_radius((found.iris.cx - iris.cx).hypot(found.iris.cy - iris.cy)),
        radius_error: percent_of_radius(found.iris.mean_radius() - iris.mean_radius()),
        pupil_error: truth.pupil.map(|pupil| {
            let pupil = Ellipse::from(pupil);
            let offset = (found.pupil.cx - pupil.cx).hypot(found.pupil.cy - pupil.cy);
            let growth = (found.pupil.mean_radius() - pupil.mean_radius()).abs();
            percent_of_radius(offset.max(growth))
        }),
        confidence: found.confidence,
    }
}

/// Intersection over union of what is visible of iris and pupil.
fn visible_overlap(found: &IrisSegmentation, mask: &Plane) -> f64 {
    let shown = [Label::VisibleIris, Label::Pupil, Label::Reflection].map(|label| label as u8);
    let (mut both, mut either) = (0_u64, 0_u64);
    for y in 0..mask.height {
        for x in 0..mask.width {
            let truth = matches!(mask.at(x, y), 1 | 2);
            let rect = found.rect;
            let inside = (rect.x..rect.x + rect.width).contains(&x)
                && (rect.y..rect.y + rect.height).contains(&y);
            let ours = inside && shown.contains(&found.labels.at(x - rect.x, y - rect.y));
            both += u64::from(truth && ours);
            either += u64::from(truth || ours);
        }
    }
    both as f64 / either.max(1) as f64
}

fn report(eyes: &[Outcome], negatives: &[NegativeOutcome]) -> anyhow::Result<String> {
    let mut text = String::from("# How well the iris is found\n\n");
    text.push_str("Printed by `cargo xtask eval`. Overlap is intersection over union of the visible iris with pupil, ours against the hand-drawn mask. Errors are in percent of the annotated iris radius.\n\n");
    text.push_str("| photo | verdict | overlap | limbus centre | limbus radius | pupil | confidence | ms |\n|---|---|---|---|---|---|---|---|\n");
    for eye in eyes {
        let ms = eye.milliseconds;
        match &eye.found {
            Ok(a) => {
                let pupil = a
                    .pupil_error
                    .map_or("-".into(), |error| format!("{error:.1}"));
                writeln!(
                    text,
                    "| {} | accepted | {:.3} | {:.1} | {:+.1} | {pupil} | {:.2} | {ms:.0} |",
                    eye.name, a.overlap, a.centre_error, a.radius_error, a.confidence
                )?;
            }
            Err(code) => writeln!(
                text,
                "| {} | {code} | - | - | - | - | - | {ms:.0} |",
                eye.name
            )?,
        }
    }
    write_summary(&mut text, eyes)?;
    write_negatives(&mut text, negatives)?;
    Ok(text)
}

fn write_summary(text: &mut String, eyes: &[Outcome]) -> anyhow::Result<()> {
    let mut overlaps: Vec<f64> = eyes
        .iter()
        .filter_map(|eye| Some(eye.found.as_ref().ok()?.overlap))
        .collect();
    overlaps.sort_by(f64::total_cmp);
    let at_least = |limit: f64| overlaps.iter().filter(|&&overlap| overlap >= limit).count();
    writeln!(
        text,
        "\n{} of {} eyes accepted; {} with an overlap of 0.80 or more, {} below 0.50.",
        overlaps.len(),
        eyes.len(),
        at_least(0.8),
        overlaps.len() - at_least(0.5),
    )?;
    if let Some(median) = overlaps.get(overlaps.len() / 2) {
        let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
        writeln!(
            text,
            "Overlap of those accepted: mean {mean:.3}, median {median:.3}."
        )?;
    }
    Ok(())
}

fn write_negatives(text: &mut String, negatives: &[NegativeOutcome]) -> anyhow::Result<()> {
    if negatives.is_empty() {
        return Ok(());
    }
    let accepted = negatives
        .iter()
        .filter(|negative| negative.accepted.is_some())
        .count();
    writeln!(
        text,
        "\n## Photos without a usable iris\n\n{accepted} of {} taken for an iris.\n",
        negatives.len()
    )?;
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for negative in negatives {
        *codes.entry(&negative.code).or_default() += 1;
        if let Some(confidence) = negative.accepted {
            let NegativeLabel { expect, kind } = &negative.label;
            writeln!(
                text,
                "- {}: accepted with {confidence:.2} ({kind}; expected {expect})",
                negative.name
            )?;
        }
    }
    for (code, count) in codes {
        writeln!(text, "- {code}: {count}")?;
    }
    Ok(())
}

fn after_look(
    args: &EvalArgs,
    name: &str,
    photo: &EyePhoto,
    found: Option<&IrisSegmentation>,
) -> anyhow::Result<()> {
    if args.explain {
        print_out(&explanation(name, photo)?);
    }
    if let Some(folder) = &args.overlays {
        let path = folder.join(name).with_extension("png");
        draw_overlay(&path, photo, found).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn explanation(name: &str, photo: &EyePhoto) -> anyhow::Result<String> {
    let mut text = format!("{name} {:?}\n", photo.size());
    for look in explain(photo).iter().take(4) {
        let (iris, pupil) = (look.iris, look.pupil);
        writeln!(
            text,
            "  {:.3} iris ({:.0}, {:.0}) {:.0}x{:.0} pupil ({:.0}, {:.0}) {:.0}",
            look.confidence,
            iris.cx,
            iris.cy,
            iris.rx,
            iris.ry,
            pupil.cx,
            pupil.cy,
            pupil.mean_radius()
        )?;
        let says: Vec<String> = look
            .says()
            .iter()
            .map(|(name, say, _)| format!("{name} {say:.2}"))
            .collect();
        writeln!(text, "     {}", says.join(", "))?;
        writeln!(text, "     {:?}", look.evidence)?;
    }
    Ok(text)
}

/// The photo with limbus and pupil in green, lids in red, and what is hidden darkened.
fn draw_overlay(
    path: &Path,
    photo: &EyePhoto,
    found: Option<&IrisSegmentation>,
) -> anyhow::Result<()> {
    let reduced = photo.reduced(1400);
    let planes = &reduced.planes;
    let (width, height) = (planes.y.width, planes.y.height);
    let mut rgb: Vec<[u8; 3]> = planes
        .y
        .samples
        .iter()
        .zip(planes.cb.samples.iter().zip(&planes.cr.samples))
        .map(|(&y, (&cb, &cr))| to_rgb(y, cb, cr))
        .collect();
    let mut dot = |x: f32, y: f32, colour: [u8; 3]| {
        let (x, y) = (x / reduced.scale, y / reduced.scale);
        if x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32 {
            rgb[y as usize * width as usize + x as usize] = colour;
        }
    };
    if let Some(found) = found {
        for row in (0..found.rect.height).step_by(4) {
            for column in (0..found.rect.width).step_by(4) {
                if found.labels.at(column, row) == Label::Hidden as u8 {
                    dot(
                        (found.rect.x + column) as f32 + 0.5,
                        (found.rect.y + row) as f32 + 0.5,
                        [255, 0, 255],
                    );
                }
            }
        }
        for step in 0..2000 {
            let theta = step as f32 * std::f32::consts::TAU / 2000.0;
            for ellipse in [&found.iris, &found.pupil] {
                let (x, y) = ellipse.point_at(theta);
                dot(x, y, [0, 255, 0]);
            }
        }
        for pair in [&found.upper_lid, &found.lower_lid]
            .iter()
            .flat_map(|lid| lid.windows(2))
        {
            for step in 0..60 {
                let share = step as f32 / 60.0;
                let mix = |a: f32, b: f32| a + (b - a) * share;
                dot(
                    mix(pair[0].0, pair[1].0),
                    mix(pair[0].1, pair[1].1),
                    [255, 0, 0],
                );
            }
        }
    }
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()?
        .write_image_data(rgb.as_flattened())?;
    Ok(())
}

/// Full-range BT.601, as in JFIF.
fn to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|v| v.round().clamp(0.0, 255.0) as u8)
}
