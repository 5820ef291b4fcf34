//! Fresh renders at the size of photos: the truth is known to the pixel, and every group is large.

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::segment::IrisSegmentation;
use irisflow_synth::{
    Framing, Picture, Presence, SceneKind, Tiles, Traits, TrueEllipse, TrueEye, Usability, label,
    render,
};

use super::drawing::{self, Tile};
use super::score::{self, Accuracy, Figures, Refusal, Truth, accuracy, ask};

/// How many of the worst are drawn.
const DRAWN: usize = 20;
/// Quality of the JPEG files that are made of renders, above what they were compressed with before.
const FILE_QUALITY: u8 = 93;

const OPEN_IRIS: u8 = label::OPENING | label::IRIS;

/// What a render shows, with the eye that counts.
pub(super) enum Shown {
    Eye(Traits, TrueEye),
    /// Hardly any iris, or none that a label is for.
    Unclear,
    NoEye(&'static str),
}

pub(super) struct RenderOutcome {
    pub index: u64,
    pub shown: Shown,
    /// With no accuracy where no eye is.
    pub found: Result<Option<Accuracy>, Refusal>,
    pub figures: Option<Figures>,
    pub milliseconds: f64,
}

impl RenderOutcome {
    pub(super) fn usability(&self) -> Option<Usability> {
        match &self.shown {
            Shown::Eye(_, eye) => Some(eye.usability),
            Shown::Unclear | Shown::NoEye(_) => None,
        }
    }
}

pub(super) struct Measured {
    pub outcomes: Vec<RenderOutcome>,
    /// Accepted, with the smallest overlap.
    pub worst: Vec<Tile>,
    /// The first usable ones that were turned down.
    pub turned_down: Vec<Tile>,
}

/// Renders and asks; what was accepted and is worst is kept as a drawing.
pub(super) fn measure(count: u64, seed: u64) -> anyhow::Result<Measured> {
    let tiles = Tiles::new();
    let mut outcomes = Vec::new();
    let mut worst: Vec<(f64, Tile)> = Vec::new();
    let mut turned_down = Vec::new();
    for index in 0..count + count / 4 {
        let (scene, side) = if index < count {
            eye_scene(index)
        } else {
            negative_scene(index)
        };
        let picture = render(&tiles, seed, index, side, scene, false);
        let (width, height, rgb) = picture.photo_without_letterbox();
        let bytes = jpeg(&rgb, width, height)?;
        let (photo, answer) =
            ask(&bytes).with_context(|| format!("asking about render {index}"))?;
        let found_at = answer.found.as_ref().ok();
        let shown = what_is_shown(scene, &picture, found_at);
        let accuracy = match (&shown, found_at) {
            (Shown::Eye(_, eye), Some(found)) => {
                Some(compare(found, &picture, eye, (width, height)))
            }
            _ => None,
        };
        let eyes: Vec<Ellipse> = picture
            .eyes
            .iter()
            .map(|eye| in_photo(&eye.iris, &picture))
            .collect();
        let tile = || drawing::tile(&rgb, width, height, &eyes, found_at);
        let is_usable = matches!(&shown, Shown::Eye(_, eye) if eye.usability == Usability::Usable);
        if found_at.is_none() && is_usable && turned_down.len() < DRAWN {
            turned_down.push(tile());
        }
        if found_at.is_some() {
            let overlap = accuracy.map_or(0.0, |accuracy| accuracy.overlap);
            if !matches!(shown, Shown::Unclear) {
                worst.push((overlap, tile()));
                worst.sort_by(|a, b| a.0.total_cmp(&b.0));
                worst.truncate(DRAWN);
            }
        }
        outcomes.push(RenderOutcome {
            index,
            shown,
            figures: score::figures(&photo, |found| {
                match what_is_shown(scene, &picture, Some(found)) {
                    Shown::Eye(_, eye) => Some(compare(found, &picture, &eye, (width, height))),
                    _ => None,
                }
            }),
            milliseconds: answer.milliseconds,
            found: answer.found.map(|_| accuracy),
        });
    }
    Ok(Measured {
        outcomes,
        worst: worst.into_iter().map(|(_, tile)| tile).collect(),
        turned_down,
    })
}

/// Framings in turn, each with as many pixels as such photos have.
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

fn what_is_shown(scene: SceneKind, picture: &Picture, found: Option<&IrisSegmentation>) -> Shown {
    match (scene, picture.presence) {
        (SceneKind::LookAlike, _) => Shown::NoEye("look-alike"),
        (SceneKind::Animal(_), _) => Shown::NoEye("animal"),
        (SceneKind::ClosedEye(_), _) => Shown::NoEye("closed eye"),
        (SceneKind::OtherFace(_), Presence::No) => Shown::NoEye("other part of a face"),
        (_, Presence::Yes) => match (&picture.traits, eye_that_counts(picture, found)) {
            (Some(traits), Some(eye)) => Shown::Eye(traits.clone(), eye),
            _ => Shown::Unclear,
        },
        _ => Shown::Unclear,
    }
}

/// The eye nearest to what was found, else the one that shows most.
fn eye_that_counts(picture: &Picture, found: Option<&IrisSegmentation>) -> Option<TrueEye> {
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

fn jpeg(rgb: &[u8], width: usize, height: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, FILE_QUALITY);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder.encode(rgb, width as u16, height as u16, colour)?;
    Ok(bytes)
}
