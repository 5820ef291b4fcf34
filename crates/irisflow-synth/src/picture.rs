//! [`render`]: one labelled picture, deterministic in seed and index.

use crate::animal::turn_into_animal;
use crate::camera::Camera;
use crate::canvas::{Canvas, label};
use crate::eyeball::iris_offset_mm;
use crate::ground_truth::TrueEye;
use crate::lighting::Lighting;
use crate::lookalike;
use crate::noise::Tiles;
use crate::person::Person;
use crate::photo_traits::{self, Traits};
use crate::portrait;
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::view::{Framing, IRIS_RADIUS_MM, View, Window};

/// Whether the picture shows a usable human eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    No,
    Yes,
    /// Hardly any iris is visible: the evaluation accepts either answer.
    Unclear,
}

/// What to render: the kind of scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SceneKind {
    /// The training mixture.
    Mixture,
    Eye(Framing),
    /// Objects that resemble an eye.
    LookAlike,
    /// An animal's face or eye.
    Animal(Framing),
    ClosedEye(Framing),
    /// Another part of a face, with the eyes outside the picture.
    OtherFace(Framing),
    /// The training mixture of the network for close-ups: a side has about four or two and a half iris
    /// radii.
    NearMixture,
}

#[derive(Debug)]
pub struct Picture {
    pub side: usize,
    /// 8-bit sRGB, rows of RGB triples.
    pub photo: Vec<u8>,
    /// The same photo without reflections, when requested.
    pub without_reflections: Option<Vec<u8>>,
    /// `canvas::label` bits per pixel.
    pub labels: Vec<u8>,
    pub presence: Presence,
    pub framing: Framing,
    /// The photo's area inside the letterbox.
    pub window: Window,
    /// Eyes with a visible part of the iris.
    pub eyes: Vec<TrueEye>,
    /// Properties of the photo, when it shows an eye.
    pub traits: Option<Traits>,
}

impl Picture {
    /// The photo without its letterbox: width, height, RGB.
    pub fn photo_without_letterbox(&self) -> (usize, usize, Vec<u8>) {
        let inside = |v: f32| (v - 0.5).ceil().clamp(0.0, self.side as f32) as usize;
        let (x0, x1) = (inside(self.window.x0), inside(self.window.x1));
        let (y0, y1) = (inside(self.window.y0), inside(self.window.y1));
        let rows = (y0..y1).flat_map(|y| {
            let row = y * self.side;
            &self.photo[(row + x0) * 3..(row + x1) * 3]
        });
        (x1 - x0, y1 - y0, rows.copied().collect())
    }

    /// Top left pixel of the photo in the picture.
    pub fn photo_corner(&self) -> (usize, usize) {
        let inside = |v: f32| (v - 0.5).ceil().max(0.0) as usize;
        (inside(self.window.x0), inside(self.window.y0))
    }
}

/// Renders picture `index` of the sequence `seed`. `side` is in pixels and a multiple of 16; with
/// `keep_clean` the picture is also rendered without reflections.
pub fn render(
    tiles: &Tiles,
    seed: u64,
    index: u64,
    side: usize,
    scene: SceneKind,
    keep_clean: bool,
) -> Picture {
    let mut rng = Rng::new(seed, index);
    let drawn = Framing::ALL[rng.weighted(&[0.08, 0.34, 0.26, 0.15, 0.17])];
    let kind = rng.weighted(&[0.77, 0.1, 0.045, 0.045, 0.04]);
    let eye = Subject::Eye;
    match scene {
        SceneKind::Eye(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, eye, keep_clean)
        }
        SceneKind::LookAlike => look_alike(tiles, &mut rng, side, keep_clean),
        SceneKind::Animal(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::Animal, keep_clean)
        }
        SceneKind::ClosedEye(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::ClosedEye, keep_clean)
        }
        SceneKind::OtherFace(framing) => {
            let view = View::sample(&mut rng, side, framing);
            person(tiles, &mut rng, view, Subject::OtherFace, keep_clean)
        }
        SceneKind::Mixture | SceneKind::NearMixture if kind == 1 => {
            look_alike(tiles, &mut rng, side, keep_clean)
        }
        SceneKind::Mixture | SceneKind::NearMixture => {
            let view = match scene {
                // Closer still, hardly anything distinguishes an animal's eye from a human one.
                _ if kind == 4 && drawn == Framing::Macro => {
                    View::sample(&mut rng, side, Framing::Close)
                }
                SceneKind::NearMixture => near_view(&mut rng, side),
                _ => View::sample(&mut rng, side, drawn),
            };
            let subject = match kind {
                0 => Subject::CentredEye,
                2 => Subject::ClosedEye,
                3 => Subject::OtherFace,
                _ => Subject::Animal,
            };
            person(tiles, &mut rng, view, subject, keep_clean)
        }
    }
}

/// Half the crops are zoomed in further, where lid margins are resolved best.
fn near_view(rng: &mut Rng, side: usize) -> View {
    const CLOSER: f32 = 1.35;
    match rng.weighted(&[0.1, 0.4, 0.42, 0.08]) {
        0 => View::sample(rng, side, Framing::Macro),
        1 => View::sample(rng, side, Framing::Crop),
        2 => View::sample(rng, side, Framing::Crop).zoomed(CLOSER),
        _ => View::sample(rng, side, Framing::Close),
    }
}

/// The main content of a picture of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Eye,
    /// An eye as in the segmenter's crops: the iris is in the middle, whatever the gaze.
    CentredEye,
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
    if subject == Subject::CentredEye {
        centre_like_segmenter_crop(rng, &mut view, &mut person);
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
    let gain = camera.measure_exposure(&mut canvas, &view.window);
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
            // Outside the photo only the disc labels remain.
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
        let shot = photo_traits::Shot {
            side,
            photo: &photo,
            labels: &labels,
            person: &person,
            camera: &camera,
            view: &view,
            mirrored: &mirrored,
        };
        eyes = shot.assess_eyes(&eyes);
        (!eyes.is_empty()).then(|| shot.traits())
    };
    let presence = if no_eye || opening == 0 {
        Presence::No
    } else if view.px_per_mm * IRIS_RADIUS_MM < 1.3 * side as f32 / 256.0 {
        // Too small to be recognised as an iris.
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

/// Centres the iris, as the segmenter's crops do. Averted gazes are oversampled, because lids, corner and
/// foreshortening make them the hardest cases.
fn centre_like_segmenter_crop(rng: &mut Rng, view: &mut View, person: &mut Person) {
    let (aside, centred) = match view.framing {
        Framing::Macro => (0.08, 0.5),
        Framing::Crop => (0.18, 0.9),
        _ => (0.0, 0.0),
    };
    if rng.chance(aside) {
        person.avert_gaze(rng);
    }
    if rng.chance(centred) {
        view.centre_on(iris_offset_mm(person.gaze));
    }
}

fn look_alike(tiles: &Tiles, rng: &mut Rng, side: usize, keep_clean: bool) -> Picture {
    let mut canvas = Canvas::new(side);
    let view = View::sample(rng, side, Framing::Close);
    lookalike::paint(&mut canvas, tiles, rng);
    let camera = Camera::sample(rng, 40.0, view.origin, side as f32 / 256.0);
    let gain = camera.measure_exposure(&mut canvas, &view.window);
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
