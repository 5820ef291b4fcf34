//! What the pipeline makes of a photo: the four pictures and some figures, or the code of a rejection.

use std::ops::ControlFlow;

use irisflow_image::geometry::Ellipse;
use irisflow_image::pipeline::{
    self, ProcessError, ProcessOptions, ProcessedIris, Stage, StageMark,
};
use serde::{Deserialize, Serialize};

/// The mask, whose samples are labels and no brightness.
pub(super) const MASK: &str = "mask.png";
/// The files of a finished case.
pub(super) const PICTURES: [&str; 4] = ["result.jpg", MASK, "before.jpg", "thumbnail.jpg"];

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) facts: Facts,
    /// File name and bytes; none after a rejection.
    pub(super) pictures: Vec<(String, Vec<u8>)>,
}

/// What is compared beside the pictures.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Facts {
    Rejected {
        code: String,
    },
    Finished {
        photo_size: (u32, u32),
        iris: Outline,
        pupil: Outline,
    },
}

/// An ellipse in pixels of the upright photo, to a hundredth of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Outline {
    center_x: f64,
    center_y: f64,
    /// Of the circle with the same area.
    mean_radius: f64,
}

/// How far an outline may be off, in shares of its radius.
const OUTLINE_TOLERANCE: f64 = 0.005;

impl Outcome {
    pub(super) fn of(photo: &[u8]) -> anyhow::Result<Self> {
        let mut observer = |_: Stage, _: StageMark| ControlFlow::Continue(());
        match pipeline::process(photo, &ProcessOptions::default(), &mut observer) {
            Ok(processed) => Ok(Self::finished(processed)),
            Err(ProcessError::Rejected(rejection)) => Ok(Self {
                facts: Facts::Rejected {
                    code: rejection.code().as_str().to_owned(),
                },
                pictures: Vec::new(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn finished(processed: ProcessedIris) -> Self {
        let facts = Facts::Finished {
            photo_size: processed.photo_size,
            iris: Outline::of(&processed.segmentation.iris),
            pupil: Outline::of(&processed.segmentation.pupil),
        };
        let bytes = [
            processed.result,
            processed.mask_png,
            processed.before_jpeg,
            processed.thumbnail_jpeg,
        ];
        let pictures = PICTURES.map(str::to_owned).into_iter().zip(bytes).collect();
        Self { facts, pictures }
    }

    pub(super) fn picture(&self, name: &str) -> Option<&[u8]> {
        let picture = self.pictures.iter().find(|(file, _)| file == name);
        picture.map(|(_, bytes)| bytes.as_slice())
    }
}

impl Outline {
    fn of(ellipse: &Ellipse) -> Self {
        let rounded = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
        Self {
            center_x: rounded(ellipse.cx),
            center_y: rounded(ellipse.cy),
            mean_radius: rounded(ellipse.mean_radius()),
        }
    }

    /// The largest difference, in shares of the radius.
    fn distance(&self, other: &Self) -> f64 {
        let moved = (self.center_x - other.center_x).hypot(self.center_y - other.center_y);
        let grown = (self.mean_radius - other.mean_radius).abs();
        moved.max(grown) / self.mean_radius.max(1.0)
    }
}

impl Facts {
    /// What is not as expected, in words.
    pub(super) fn differences(&self, actual: &Self, exact: bool) -> Vec<String> {
        let (
            Self::Finished {
                photo_size,
                iris,
                pupil,
            },
            Self::Finished {
                photo_size: actual_size,
                iris: actual_iris,
                pupil: actual_pupil,
            },
        ) = (self, actual)
        else {
            let differ = self != actual;
            return differ
                .then(|| format!("{self:?} expected, not {actual:?}"))
                .into_iter()
                .collect();
        };
        let mut found = Vec::new();
        if photo_size != actual_size {
            found.push(format!("a photo of {photo_size:?}, not {actual_size:?}"));
        }
        let allowed = if exact { 0.0 } else { OUTLINE_TOLERANCE };
        for (name, expected, actual) in
            [("iris", iris, actual_iris), ("pupil", pupil, actual_pupil)]
        {
            if expected.distance(actual) > allowed {
                found.push(format!("{name} at {expected:?}, not {actual:?}"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(center_x: f64) -> Facts {
        let outline = Outline {
            center_x,
            center_y: 100.0,
            mean_radius: 80.0,
        };
        Facts::Finished {
            photo_size: (400, 300),
            iris: outline,
            pupil: outline,
        }
    }

    #[test]
    fn outlines_may_be_off_by_half_a_percent_unless_they_must_be_exact() {
        let (expected, near, far) = (finished(100.0), finished(100.3), finished(101.0));
        assert!(expected.differences(&near, false).is_empty());
        assert_eq!(expected.differences(&near, true).len(), 2);
        assert_eq!(expected.differences(&far, false).len(), 2);
    }

    #[test]
    fn another_rejection_is_a_difference() {
        let rejected = |code: &str| Facts::Rejected {
            code: code.to_owned(),
        };
        assert!(
            rejected("too_dark")
                .differences(&rejected("too_dark"), true)
                .is_empty()
        );
        assert_eq!(
            rejected("too_dark")
                .differences(&rejected("too_blurry"), false)
                .len(),
            1
        );
        assert_eq!(
            rejected("too_dark")
                .differences(&finished(1.0), false)
                .len(),
            1
        );
    }
}
