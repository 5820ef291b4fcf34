//! One labelled picture from a seed and an index.

use crate::camera::Camera;
use crate::canvas::{Canvas, label};
use crate::iris::IrisColour;
use crate::lighting::Lighting;
use crate::lookalike;
use crate::noise::Tiles;
use crate::person::Person;
use crate::portrait::{self, TrueEye};
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::view::{Framing, View};

/// Whether the picture shows a usable human eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    No,
    Yes,
    /// Hardly any iris shows: neither answer is wrong.
    Unclear,
}

/// What to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The training mixture.
    Any,
    Eye(Framing),
    NoEye,
}

#[derive(Debug)]
pub struct Picture {
    pub side: usize,
    /// 8-bit sRGB, rows of RGB triples.
    pub photo: Vec<u8>,
    /// The same photo without mirrored light, when asked for.
    pub without_reflections: Option<Vec<u8>>,
    /// `canvas::label` bits per pixel.
    pub labels: Vec<u8>,
    pub presence: Presence,
    pub framing: Framing,
    pub iris_colour: Option<IrisColour>,
    /// 0 the lightest skin, 1 the darkest.
    pub skin_depth: f32,
    /// Sine of the angle between gaze and camera.
    pub gaze: f32,
    /// Deviation of the lens blur.
    pub blur_px: f32,
    /// Share of the visible iris under mirrored light.
    pub reflected: f32,
    /// Eyes whose centre lies in the picture.
    pub eyes: Vec<TrueEye>,
}

/// Renders picture `index` of the sequence `seed`. `side` is a multiple of 16.
pub fn render(
    tiles: &Tiles,
    seed: u64,
    index: u64,
    side: usize,
    wish: Wish,
    keep_clean: bool,
) -> Picture {
    let mut rng = Rng::new(seed, index);
    let drawn = Framing::ALL[rng.weighted(&[0.08, 0.36, 0.28, 0.15, 0.13])];
    let kind = rng.weighted(&[0.83, 0.1, 0.035, 0.035]);
    match wish {
        Wish::Eye(framing) => person(tiles, &mut rng, side, framing, Subject::Eye, keep_clean),
        Wish::NoEye => round_thing(tiles, &mut rng, side, keep_clean),
        Wish::Any => match kind {
            0 => person(tiles, &mut rng, side, drawn, Subject::Eye, keep_clean),
            1 => round_thing(tiles, &mut rng, side, keep_clean),
            2 => person(tiles, &mut rng, side, drawn, Subject::ClosedEye, keep_clean),
            _ => person(tiles, &mut rng, side, drawn, Subject::OtherFace, keep_clean),
        },
    }
}

/// What of a person the picture is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Eye,
    ClosedEye,
    /// Cheek, nose, mouth, brow, hair: the eye is outside the picture.
    OtherFace,
}

fn person(
    tiles: &Tiles,
    rng: &mut Rng,
    side: usize,
    framing: Framing,
    subject: Subject,
    keep_clean: bool,
) -> Picture {
    let mut view = View::sample(rng, side, framing);
    if subject == Subject::OtherFace {
        view.look_away(rng);
    }
    let closed = subject == Subject::ClosedEye;
    let person = Person::sample(rng, closed);
    let lighting = Lighting::sample(rng);
    let mirrored = Mirrored::sample(rng);
    let mut canvas = Canvas::new(side);
    let mut eyes = portrait::paint(
        &mut canvas,
        tiles,
        rng,
        &view,
        &person,
        &lighting,
        &mirrored,
    );
    let camera = Camera::sample(
        rng,
        view.px_per_mm * crate::view::IRIS_RADIUS_MM,
        view.origin,
    );
    let gain = camera.meter(&mut canvas, &view.window);
    let photo = camera.develop(&canvas, &view.window, gain, tiles, true);
    let without_reflections =
        keep_clean.then(|| camera.develop(&canvas, &view.window, gain, tiles, false));
    let mut labels = canvas.labels;
    let (mut disc, mut visible, mut opening, mut mirrored_area) = (0u32, 0u32, 0u32, 0u32);
    for (index, bits) in labels.iter_mut().enumerate() {
        if closed {
            *bits &= label::BACKGROUND;
        }
        let inside = view
            .window
            .contains((index % side) as f32 + 0.5, (index / side) as f32 + 0.5);
        if !inside {
            // The frame hides all but the shape of the disc.
            *bits &= label::IRIS | label::PUPIL;
            continue;
        }
        let has = |bit: u8| u32::from(*bits & bit == bit);
        disc += has(label::IRIS);
        visible += has(label::VISIBLE);
        opening += has(label::OPENING);
        mirrored_area += has(label::VISIBLE | label::REFLECTION);
    }
    if closed {
        eyes.clear();
    }
    let presence = if closed || opening == 0 {
        Presence::No
    } else if visible < 12 || visible * 6 < disc {
        Presence::Unclear
    } else {
        Presence::Yes
    };
    Picture {
        side,
        photo,
        without_reflections,
        labels,
        presence,
        framing,
        iris_colour: Some(person.iris.colour),
        skin_depth: person.skin.depth,
        gaze: person.gaze.0.hypot(person.gaze.1),
        blur_px: camera.blur_px(),
        reflected: mirrored_area as f32 / visible.max(1) as f32,
        eyes,
    }
}

fn round_thing(tiles: &Tiles, rng: &mut Rng, side: usize, keep_clean: bool) -> Picture {
    let mut canvas = Canvas::new(side);
    let view = View::sample(rng, side, Framing::Close);
    lookalike::paint(&mut canvas, tiles, rng);
    let camera = Camera::sample(rng, 40.0, view.origin);
    let gain = camera.meter(&mut canvas, &view.window);
    let photo = camera.develop(&canvas, &view.window, gain, tiles, true);
    let without_reflections =
        keep_clean.then(|| camera.develop(&canvas, &view.window, gain, tiles, false));
    Picture {
        side,
        photo,
        without_reflections,
        labels: vec![0; side * side],
        presence: Presence::No,
        framing: Framing::Close,
        iris_colour: None,
        skin_depth: 0.0,
        gaze: 0.0,
        blur_px: camera.blur_px(),
        reflected: 0.0,
        eyes: Vec::new(),
    }
}
