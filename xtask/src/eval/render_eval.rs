//! Evaluation on renders at the size of photos: the ground truth is exact, and every group is large.

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::segment::IrisSegmentation;
use irisflow_synth::{
    Framing, Picture, Presence, SceneKind, Tiles, Traits, TrueEllipse, TrueEye, Usability, label,
    render,
};

use super::overlays::{self, Tile};
use super::scoring::{self, Accuracy, Figures, Rejection, Truth, accuracy, segment_bytes};

/// Number of pictures per contact sheet.
const DRAWN: usize = 20;
/// JPEG quality of the encoded renders, above the quality that the camera model simulates.
const FILE_QUALITY: u8 = 93;

const OPEN_IRIS: u8 = label::OPENING | label::IRIS;

/// Ground truth of a render.
pub(super) enum RenderTruth {
    Eye(Traits, TrueEye),
    /// Hardly any visible iris: either answer is accepted.
    Unclear,
    NoEye(&'static str),
}

pub(super) struct RenderOutcome {
    pub index: u64,
    pub truth: RenderTruth,
    /// Accepted, with the accuracy where there is an eye; or rejected.
    pub found: Result<Option<Accuracy>, Rejection>,
    pub figures: Option<Figures>,
    /// Whether it was found only after a turn of the photo.
    pub turned: bool,
    pub milliseconds: f64,
}

impl RenderOutcome {
    pub(super) fn usability(&self) -> Option<Usability> {
        match &self.truth {
            RenderTruth::Eye(_, eye) => Some(eye.usability),
            RenderTruth::Unclear | RenderTruth::NoEye(_) => None,
        }
    }
}

pub(super) struct RenderEvaluation {
    pub outcomes: Vec<RenderOutcome>,
    /// The accepted renders with the smallest overlap.
    pub worst: Vec<Tile>,
    /// The first usable renders that were rejected.
    pub false_rejections: Vec<Tile>,
}

/// Segments `count` renders with an eye and a quarter as many without.
pub(super) fn measure(count: u64, seed: u64) -> anyhow::Result<RenderEvaluation> {
    let tiles = Tiles::new();
    let mut outcomes = Vec::new();
    let mut worst: Vec<(f64, Tile)> = Vec::new();
    let mut false_rejections = Vec::new();
    for index in 0..count + count / 4 {
        let (scene, side) = if index < count {
            eye_scene(index)
        } else {
            negative_scene(index)
        };
        let picture = render(&tiles, seed, index, side, scene, false);
        let (width, height, rgb) = picture.photo_without_letterbox();
        let bytes = jpeg(&rgb, width, height)?;
        let (photo, outcome) =
            segment_bytes(&bytes).with_context(|| format!("segmenting render {index}"))?;
        let found_at = outcome.found.as_ref().ok();
        let truth = render_truth(scene, &picture, found_at);
        let accuracy = match (&truth, found_at) {
            (RenderTruth::Eye(_, eye), Some(found)) => {
                Some(compare(found, &picture, eye, (width, height)))
            }
            _ => None,
        };
        let eyes: Vec<Ellipse> = picture
            .eyes
            .iter()
            .map(|eye| in_photo(&eye.iris, &picture))
            .collect();
        let tile = || overlays::tile(&rgb, width, height, &eyes, found_at);
        let is_usable =
            matches!(&truth, RenderTruth::Eye(_, eye) if eye.usability == Usability::Usable);
        if found_at.is_none() && is_usable && false_rejections.len() < DRAWN {
            false_rejections.push(tile());
        }
        if found_at.is_some() {
            let overlap = accuracy.map_or(0.0, |accuracy| accuracy.overlap);
            if !matches!(truth, RenderTruth::Unclear) {
                worst.push((overlap, tile()));
                worst.sort_by(|a, b| a.0.total_cmp(&b.0));
                worst.truncate(DRAWN);
            }
        }
        outcomes.push(RenderOutcome {
            index,
            truth,
            figures: scoring::figures(&photo, |found| {
                match render_truth(scene, &picture, Some(found)) {
                    RenderTruth::Eye(_, eye) => {
                        Some(compare(found, &picture, &eye, (width, height)))
                    }
                    _ => None,
                }
            }),
            turned: outcome.turned,
            milliseconds: outcome.milliseconds,
            found: outcome.found.map(|_| accuracy),
        });
    }
    Ok(RenderEvaluation {
        outcomes,
        worst: worst.into_iter().map(|(_, tile)| tile).collect(),
        false_rejections,
    })
}

/// Framings in turn, with the side in pixels that such photos have.
fn eye_scene(index: u64) -> (SceneKind, usize) {
    match index % 10 {
        0 => (SceneKind::Eye(Framing::Macro), 640),
        1 | 2 => (SceneKind::Eye(Framing::Crop), 512),
        3..=6 => (SceneKind::Eye(Framing::Close), 768),
        7 | 8 => (SceneKind::Eye(Framing::Region), 1024),
        _ => (SceneKind::Eye(Framing::Face), 1536),
    }
}

fn negative_scene(index: u64) -> (SceneKind, usize) {
    match index % 5 {
        0 | 1 => (SceneKind::LookAlike, 640),
        2 => (SceneKind::Animal(Framing::Close), 640),
        3 => (SceneKind::ClosedEye(Framing::Close), 640),
        _ => (SceneKind::OtherFace(Framing::Region), 640),
    }
}

fn render_truth(
    scene: SceneKind,
    picture: &Picture,
    found: Option<&IrisSegmentation>,
) -> RenderTruth {
    match (scene, picture.presence) {
        (SceneKind::LookAlike, _) => RenderTruth::NoEye("look-alike"),
        (SceneKind::Animal(_), _) => RenderTruth::NoEye("animal"),
        (SceneKind::ClosedEye(_), _) => RenderTruth::NoEye("closed eye"),
        (SceneKind::OtherFace(_), Presence::No) => RenderTruth::NoEye("other part of a face"),
        (_, Presence::Yes) => match (&picture.traits, reference_eye(picture, found)) {
            (Some(traits), Some(eye)) => RenderTruth::Eye(traits.clone(), eye),
            _ => RenderTruth::Unclear,
        },
        _ => RenderTruth::Unclear,
    }
}

/// The eye nearest to the found one, or without a found one the eye with the largest visible share.
fn reference_eye(picture: &Picture, found: Option<&IrisSegmentation>) -> Option<TrueEye> {
    let by_distance = |a: &&TrueEye, b: &&TrueEye| {
        let far = |eye: &TrueEye| {
            let iris = in_photo(&eye.iris, picture);
            found.map_or(-eye.visible_share, |found| {
                (iris.cx - found.iris.cx).hypot(iris.cy - found.iris.cy)
            })
        };
        far(a).total_cmp(&far(b))
    };
    picture.eyes.iter().min_by(by_distance).copied()
}

fn compare(
    found: &IrisSegmentation,
    picture: &Picture,
    eye: &TrueEye,
    (width, height): (usize, usize),
) -> Accuracy {
    let (left, top) = picture.photo_corner();
    let visible = |x: u32, y: u32| {
        let (x, y) = (x as usize + left, y as usize + top);
        let bits = picture.labels[y * picture.side + x];
        let is_open = bits & OPEN_IRIS == OPEN_IRIS;
        is_open
            && bits & label::COVERED == 0
            && eye.iris.distance(x as f32 + 0.5, y as f32 + 0.5) < 1.1
    };
    let truth = Truth {
        iris: in_photo(&eye.iris, picture),
        pupil: Some(in_photo(&eye.pupil, picture)),
        visible: &visible,
        width: width as u32,
        height: height as u32,
    };
    accuracy(found, &truth)
}

fn in_photo(ellipse: &TrueEllipse, picture: &Picture) -> Ellipse {
    let (left, top) = picture.photo_corner();
    Ellipse {
        cx: ellipse.cx - left as f32,
        cy: ellipse.cy - top as f32,
        rx: ellipse.rx,
        ry: ellipse.ry,
        angle_deg: ellipse.angle_rad.to_degrees(),
    }
}

pub(super) fn jpeg(rgb: &[u8], width: usize, height: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, FILE_QUALITY);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder.encode(rgb, width as u16, height as u16, colour)?;
    Ok(bytes)
}
