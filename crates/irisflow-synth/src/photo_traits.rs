//! Properties of a rendered photo by which the evaluation groups its figures, and the ground truth of
//! whether its iris is usable. Computed from the finished photo and its labels.

use crate::camera::Camera;
use crate::canvas::label;
use crate::ground_truth::TrueEye;
use crate::iris::IrisColour;
use crate::person::Person;
use crate::reflections::Mirrored;
use crate::view::{Framing, View};

/// Ground truth of whether an iris is usable. For a borderline iris either answer is accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Usability {
    Usable,
    Borderline,
    /// With the main defect.
    Unusable(&'static str),
}

/// The properties of a photo that figures are grouped by.
#[derive(Debug, Clone, PartialEq)]
pub struct Traits {
    pub framing: Framing,
    pub iris_colour: IrisColour,
    /// Sine of the angle between gaze and camera.
    pub gaze: f32,
    /// Share of the visible iris under reflections.
    pub reflected: f32,
    pub reflection_kind: Option<&'static str>,
    /// Standard deviation of the total blur, in iris radii.
    pub softness: f32,
    pub moved: bool,
    /// 0 the lightest skin, 1 the darkest.
    pub skin_depth: f32,
    /// Mean luma of the photo, 0 to 255.
    pub luma: f32,
    pub grey: bool,
    pub glasses: bool,
}

impl Traits {
    /// Pairs of a property and the name of the photo's group within it.
    pub fn groups(&self) -> [(&'static str, &'static str); 8] {
        [
            ("framing", self.framing.name()),
            (
                "gaze",
                match self.gaze {
                    g if g < 0.17 => "frontal, under 10 degrees",
                    g if g < 0.42 => "mild, 10 to 25 degrees",
                    _ => "strong, over 25 degrees",
                },
            ),
            ("iris", self.iris_colour.name()),
            (
                "reflection area",
                match self.reflected {
                    share if share < 0.01 => "none",
                    share if share < 0.06 => "small, under 6 %",
                    share if share < 0.2 => "large, 6 to 20 %",
                    _ => "huge, over 20 %",
                },
            ),
            ("largest reflection", self.reflection_kind.unwrap_or("none")),
            (
                "blur",
                match self.softness {
                    _ if self.moved => "moved",
                    share if share < 0.015 => "sharp",
                    share if share < 0.04 => "soft",
                    _ => "blurred",
                },
            ),
            (
                "skin",
                match self.skin_depth {
                    depth if depth < 0.33 => "light",
                    depth if depth < 0.66 => "medium",
                    _ => "dark",
                },
            ),
            (
                "light",
                match self.luma {
                    _ if self.grey => "black-and-white",
                    luma if luma < 45.0 => "dark",
                    luma if luma < 85.0 => "dim",
                    luma if luma < 165.0 => "normal",
                    _ => "bright",
                },
            ),
        ]
    }
}

/// A finished photo with its labels and all parameters.
#[derive(Debug)]
pub(crate) struct Shot<'a> {
    pub side: usize,
    pub photo: &'a [u8],
    pub labels: &'a [u8],
    pub person: &'a Person,
    pub camera: &'a Camera,
    pub view: &'a View,
    pub mirrored: &'a Mirrored,
}

/// Pixel statistics in and around one iris.
#[derive(Debug, Default)]
struct IrisStatistics {
    visible: f32,
    reflected: f32,
    /// Pixels in which a reflection is saturated, so that no texture is left.
    burnt: f32,
    iris: Colour,
    white: Colour,
}

/// The sum of 8-bit colours.
#[derive(Debug, Default)]
struct Colour {
    sum: [f32; 3],
    count: f32,
}

impl Colour {
    fn add(&mut self, rgb: &[u8]) {
        for (sum, &value) in self.sum.iter_mut().zip(rgb) {
            *sum += f32::from(value);
        }
        self.count += 1.0;
    }

    fn mean(&self) -> [f32; 3] {
        self.sum.map(|sum| sum / self.count.max(1.0))
    }
}

fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

impl Shot<'_> {
    /// The eyes with any visible pixel, with their visible share and usability.
    pub(crate) fn assess_eyes(&self, eyes: &[TrueEye]) -> Vec<TrueEye> {
        eyes.iter()
            .filter_map(|eye| {
                let statistics = self.statistics_of(eye);
                let disc = std::f32::consts::PI * eye.iris.rx * eye.iris.ry;
                let visible_share = (statistics.visible / disc.max(1.0)).min(1.0);
                (statistics.visible > 0.0).then(|| TrueEye {
                    visible_share,
                    usability: self.usability(eye, visible_share, &statistics),
                    ..*eye
                })
            })
            .collect()
    }

    pub(crate) fn traits(&self) -> Traits {
        let (mut visible, mut reflected) = (0.0f32, 0.0f32);
        let mut whole = Colour::default();
        for (index, &bits) in self.labels.iter().enumerate() {
            if bits & label::VISIBLE != 0 {
                visible += 1.0;
                reflected += if bits & label::REFLECTION != 0 {
                    1.0
                } else {
                    0.0
                };
            }
            let (x, y) = self.pixel_centre(index);
            if self.view.window.contains(x, y) {
                whole.add(self.colour_at(index));
            }
        }
        let radius = self.view.px_per_mm * crate::view::IRIS_RADIUS_MM;
        Traits {
            framing: self.view.framing,
            iris_colour: self.person.iris.colour,
            gaze: self.person.gaze.0.hypot(self.person.gaze.1),
            reflected: reflected / visible.max(1.0),
            reflection_kind: self.mirrored.main_kind(),
            softness: self.camera.softness_px() / radius,
            moved: self.camera.motion_px() > 0.04 * radius,
            skin_depth: self.person.skin.depth,
            luma: luma(whole.mean()),
            grey: self.camera.is_grey(),
            glasses: self.person.glasses.is_some(),
        }
    }

    fn pixel_centre(&self, index: usize) -> (f32, f32) {
        (
            (index % self.side) as f32 + 0.5,
            (index / self.side) as f32 + 0.5,
        )
    }

    fn colour_at(&self, index: usize) -> &[u8] {
        &self.photo[index * 3..index * 3 + 3]
    }

    fn statistics_of(&self, eye: &TrueEye) -> IrisStatistics {
        let mut statistics = IrisStatistics::default();
        let reach = 1.5 * eye.iris.rx.max(eye.iris.ry);
        let bound = |v: f32| v.clamp(0.0, self.side as f32) as usize;
        for y in bound(eye.iris.cy - reach)..bound(eye.iris.cy + reach) {
            for x in bound(eye.iris.cx - reach)..bound(eye.iris.cx + reach) {
                let index = y * self.side + x;
                let bits = self.labels[index];
                let far = eye.iris.distance(x as f32 + 0.5, y as f32 + 0.5);
                if far > 1.05
                    && far < 1.4
                    && bits & (label::OPENING | label::IRIS) == label::OPENING
                {
                    statistics.white.add(self.colour_at(index));
                }
                if far > 1.02 || bits & label::VISIBLE == 0 {
                    continue;
                }
                statistics.visible += 1.0;
                if bits & label::REFLECTION != 0 {
                    statistics.reflected += 1.0;
                    let rgb = self.colour_at(index);
                    if rgb.iter().all(|&value| value >= 245) {
                        statistics.burnt += 1.0;
                    }
                } else if bits & label::PUPIL == 0 {
                    statistics.iris.add(self.colour_at(index));
                }
            }
        }
        statistics
    }

    fn usability(
        &self,
        eye: &TrueEye,
        visible_share: f32,
        statistics: &IrisStatistics,
    ) -> Usability {
        let radius = eye.iris.mean_radius();
        let (iris, white) = (statistics.iris.mean(), statistics.white.mean());
        let luma = luma(iris);
        let contrast = if statistics.white.count > 0.03 * radius * radius {
            let apart = |channel: usize| (iris[channel] - white[channel]).powi(2);
            ((apart(0) + apart(1) + apart(2)) / 3.0).sqrt()
        } else {
            100.0
        };
        let round = eye.iris.rx.min(eye.iris.ry) / eye.iris.rx.max(eye.iris.ry);
        // Defect, measured value, lowest borderline value, lowest usable value.
        let criteria = [
            ("too small", radius, 40.0, 48.0),
            (
                "too few pixels",
                radius / self.camera.enlarged(),
                12.0,
                30.0,
            ),
            ("hidden", visible_share, 0.38, 0.55),
            (
                "blurred",
                -self.camera.softness_px() / radius,
                -0.09,
                -0.045,
            ),
            ("dark", luma, 8.0, 16.0),
            ("bright", -luma, -235.0, -215.0),
            ("no contrast to the white", contrast, 3.0, 12.0),
            ("noise", -self.camera.noise(), -0.08, -0.04),
            // The texture is still visible through a soft reflection.
            (
                "reflections",
                -statistics.reflected / statistics.visible.max(1.0),
                -1.0,
                -0.35,
            ),
            (
                "burnt out",
                -statistics.burnt / statistics.visible.max(1.0),
                -0.45,
                -0.25,
            ),
            ("looks aside", round, 0.6, 0.8),
        ];
        if let Some((name, ..)) = criteria.iter().find(|(_, value, least, _)| value < least) {
            return Usability::Unusable(name);
        }
        if criteria.iter().all(|(_, value, _, clear)| value >= clear) {
            Usability::Usable
        } else {
            Usability::Borderline
        }
    }
}
