//! One labelled picture from a seed and an index.

use crate::animal::turn_into_animal;
use crate::camera::Camera;
use crate::canvas::{Canvas, label};
use crate::eyeball::iris_offset_mm;
use crate::lighting::Lighting;
use crate::lookalike;
use crate::noise::Tiles;
use crate::person::Person;
use crate::portrait;
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::traits::{self, Traits};
use crate::truth::TrueEye;
use crate::view::{Framing, IRIS_RADIUS_MM, View, Window};

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
    /// Things that look a little like an eye.
    LookAlike,
    /// An animal's face or eye.
    Animal(Framing),
    ClosedEye(Framing),
    /// A face, but no eye of it.
    OtherFace(Framing),
    /// The training mixture of looks from close by: about four or two and a half iris radii a side.
    Near,
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
    /// What is photo and not letterbox.
    pub window: Window,
    /// Eyes of which some iris shows.
    pub eyes: Vec<TrueEye>,
    /// What is to be seen, when there is an eye.
    pub traits: Option<Traits>,
}

impl Picture {
    /// The photo without its letterbox: width, height, RGB.
    pub fn photo_alone(&self) -> (usize, usize, Vec<u8>) {
        let inside = |v: f32| (v - 0.5).ceil().clamp(0.0, self.side as f32) as usize;
        let (x0, x1) = (inside(self.window.x0), inside(self.window.x1));
        let (y0, y1) = (inside(self.window.y0), inside(self.window.y1));
        let rows = (y0..y1).flat_map(|y| {
            let row = y * self.side;
            &self.photo[(row + x0) * 3..(row + x1) * 3]
        });
        (x1 - x0, y1 - y0, rows.copied().collect())
    }

    /// Where the photo's top left pixel is in the picture.
    pub fn photo_corner(&self) -> (usize, usize) {
        let inside = |v: f32| (v - 0.5).ceil().max(0.0) as usize;
        (inside(self.window.x0), inside(self.window.y0))
    }
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
    let drawn = Framing::ALL[rng.weighted(&[0.08, 0.34, 0.26, 0.15, 0.17])];
    let kind = rng.weighted(&[0.77, 0.1, 0.045, 0.045, 0.04]);
    let eye = Subject::Eye;
    match wish {
        Wish::Eye(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, eye, keep_clean)
        }
        Wish::LookAlike => round_thing(tiles, &mut rng, side, keep_clean),
        Wish::Animal(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::Animal, keep_clean)
        }
        Wish::ClosedEye(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::ClosedEye, keep_clean)
        }
        Wish::OtherFace(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::OtherFace, keep_clean)
        }
        Wish::Any | Wish::Near if kind == 1 => round_thing(tiles, &mut rng, side, keep_clean),
        Wish::Any | Wish::Near => {
            let view = match wish {
                // From nearer still hardly anything tells them apart.
                _ if kind == 4 && drawn == Framing::Macro => {
                    View::sample(&mut rng, side, Framing::Close)
                }
                Wish::Near => near_view(&mut rng, side),
                _ => View::sample(&mut rng, side, drawn),
            };
            let subject = match kind {
                0 => Subject::SoughtEye,
                2 => Subject::ClosedEye,
                3 => Subject::OtherFace,
                _ => Subject::Animal,
            };
            person(tiles, &mut rng, view, subject, keep_clean)
        }
    }
}

/// Half the crops are as close as shows best where the lids end.
fn near_view(rng: &mut Rng, side: usize) -> View {
    const CLOSER: f32 = 1.35;
    match rng.weighted(&[0.1, 0.4, 0.42, 0.08]) {
        0 => View::sample(rng, side, Framing::Macro),
        1 => View::sample(rng, side, Framing::Crop),
        2 => View::sample(rng, side, Framing::Crop).zoomed(CLOSER),
        _ => View::sample(rng, side, Framing::Close),
    }
}

/// What of a person the picture is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Eye,
    /// As the networks meet it: a closer look has the iris in its middle, wherever the eye looks.
    SoughtEye,
    ClosedEye,
    Animal,
    /// Cheek, nose, mouth, brow, hair: the eye is outside the picture.
    OtherFace,
}

fn person(
    tiles: &Tiles,
    rng: &mut Rng,
    mut view: View,
    subject: Subject,
    keep_clean: bool,
) -> Picture {
    let side = view.side;
    if subject == Subject::OtherFace {
        view.look_away(rng);
    }
    let mut person = Person::sample(rng, subject == Subject::ClosedEye);
    if subject == Subject::SoughtEye {
        show_as_sought(rng, &mut view, &mut person);
    }
    if subject == Subject::Animal {
        turn_into_animal(rng, &mut person);
    }
    let no_eye = matches!(subject, Subject::ClosedEye | Subject::Animal);
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
        view.px_per_mm * IRIS_RADIUS_MM,
        view.origin,
        side as f32 / 256.0,
    );
    let gain = camera.meter(&mut canvas, &view.window);
    let photo = camera.develop(&canvas, &view.window, gain, tiles, true);
    let without_reflections =
        keep_clean.then(|| camera.develop(&canvas, &view.window, gain, tiles, false));
    let mut labels = canvas.labels;
    let (mut disc, mut visible, mut opening) = (0u32, 0u32, 0u32);
    for (index, bits) in labels.iter_mut().enumerate() {
        if no_eye {
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
    }
    camera.mark_covered(&mut labels);
    let traits = if no_eye {
        eyes.clear();
        None
    } else {
        let shot = traits::Shot {
            side,
            photo: &photo,
            labels: &labels,
            person: &person,
            camera: &camera,
            view: &view,
            mirrored: &mirrored,
        };
        eyes = shot.judge_eyes(&eyes);
        (!eyes.is_empty()).then(|| shot.traits())
    };
    let presence = if no_eye || opening == 0 {
        Presence::No
    } else if view.px_per_mm * IRIS_RADIUS_MM < 1.3 * side as f32 / 256.0 {
        // Nobody sees an iris there.
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
        framing: view.framing,
        window: view.window,
        eyes,
        traits,
    }
}

/// Brings the iris to where the middle of the eyeball was, as a closer look has it. And more eyes look far
/// aside than people's do: there lids, corner and foreshortening leave least to go by.
fn show_as_sought(rng: &mut Rng, view: &mut View, person: &mut Person) {
    let (aside, centred) = match view.framing {
        Framing::Macro => (0.08, 0.5),
        Framing::Crop => (0.18, 0.9),
        _ => (0.0, 0.0),
    };
    if rng.chance(aside) {
        person.look_aside(rng);
    }
    if rng.chance(centred) {
        view.centre_on(iris_offset_mm(person.gaze));
    }
}

fn round_thing(tiles: &Tiles, rng: &mut Rng, side: usize, keep_clean: bool) -> Picture {
    let mut canvas = Canvas::new(side);
    let view = View::sample(rng, side, Framing::Close);
    lookalike::paint(&mut canvas, tiles, rng);
    let camera = Camera::sample(rng, 40.0, view.origin, side as f32 / 256.0);
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
        window: view.window,
        eyes: Vec::new(),
        traits: None,
    }
}
