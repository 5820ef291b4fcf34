//! Sentences for people about a usable photo: how good it is, and a tip for the next one. Those of
//! rejections are in `rejection_texts.rs`.

use super::{Quality, Verdict};
use crate::rejection::Rejection;

/// From this score on a photo without a weak figure gets the highest praise.
const BEAUTIFUL_SCORE: u8 = 80;
/// A score is a geometric mean of seven figures: two weak ones still leave more than this, three do not.
const GOOD_SCORE: u8 = 65;
/// A figure worth less than this is worth a tip.
const WORTH_A_TIP: f32 = 0.6;

impl Verdict {
    /// That a photo cannot even be looked at.
    pub fn refused(rejection: Rejection) -> Self {
        Self {
            eyes_seen: 0,
            iris: None,
            rejection: Some(rejection),
        }
    }

    /// Why the photo cannot be used, or how good it is.
    pub fn headline(&self) -> String {
        match (&self.rejection, &self.iris) {
            (Some(rejection), _) => rejection.message.clone(),
            (None, Some(iris)) => {
                let praise = iris.quality.headline();
                match self.eyes_seen {
                    0 | 1 => praise.to_owned(),
                    2 => format!("{praise} Of the two eyes we see, the better one is used."),
                    seen => format!("{praise} Of the {seen} eyes we see, the best one is used."),
                }
            }
            (None, None) => String::new(),
        }
    }

    /// The one thing to do: for a photo that can be used, or for a finer picture next time.
    pub fn tip(&self) -> Option<String> {
        match (&self.rejection, &self.iris) {
            (Some(rejection), _) => Some(rejection.suggestion.clone()),
            (None, iris) => iris.as_ref()?.quality.tip().map(str::to_owned),
        }
    }
}

impl Quality {
    /// How good a usable photo is, short and kind.
    pub fn headline(&self) -> &'static str {
        match self.score() {
            BEAUTIFUL_SCORE.. if self.tip().is_none() => "A beautiful, sharp photo.",
            GOOD_SCORE.. => "A good photo.",
            _ => "Good enough.",
        }
    }

    /// What would make the next photo finer: about the weakest figure, when one is weak.
    pub fn tip(&self) -> Option<&'static str> {
        let worths = self.worths().into_iter();
        let (weakest, worth) = worths.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (worth < WORTH_A_TIP).then(|| self.tip_on(weakest))?
    }

    /// `figure` is a name of [`Quality::worths`].
    fn tip_on(&self, figure: &str) -> Option<&'static str> {
        let tip = match figure {
            "resolution" => "A photo from closer shows more of your iris.",
            "usable_area" if self.reflection_share > 1.0 - self.visible_share => {
                "Turn a little away from the light that is mirrored in your eye to show more of it."
            }
            "usable_area" => "Open your eye a little wider to show more of it.",
            "sharpness" => {
                "For a sharper one, tap your eye on the screen and hold the camera still."
            }
            "exposure" if self.median_luma < 100.0 => "Face a window or a lamp to show more of it.",
            "exposure" => "Softer light, without flash, shows more of it.",
            "contrast" => "Even light from the front makes the edge of your iris clearer.",
            "pupil" if self.pupil_ratio < 0.3 => "A little less light lets your pupil open.",
            "pupil" => "More light makes your pupil smaller and shows more of your iris.",
            "gaze" => "Look straight into the camera for a rounder iris.",
            _ => return None,
        };
        Some(tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::fine_quality as fine;

    #[test]
    fn a_fine_photo_is_praised_and_needs_no_tip() {
        assert_eq!(fine().headline(), "A beautiful, sharp photo.");
        assert_eq!(fine().tip(), None);
    }

    #[test]
    fn one_weak_figure_gets_its_tip_and_spoils_the_highest_praise() {
        let soft = Quality {
            sharpness: 0.15,
            sharpness_around: 0.15,
            ..fine()
        };
        assert!(soft.score() >= BEAUTIFUL_SCORE, "{}", soft.score());
        assert_eq!(soft.headline(), "A good photo.");
        assert!(soft.tip().is_some_and(|tip| tip.contains("sharper")));
    }

    #[test]
    fn a_photo_weak_in_many_ways_is_good_enough() {
        let weak = Quality {
            iris_radius_px: 45.0,
            sharpness: 0.13,
            sharpness_around: 0.13,
            visible_share: 0.5,
            ..fine()
        };
        assert_eq!(weak.headline(), "Good enough.");
        assert!(weak.tip().is_some_and(|tip| tip.contains("closer")));
    }

    #[test]
    fn what_hides_the_iris_most_decides_the_tip() {
        let lids = Quality {
            visible_share: 0.45,
            ..fine()
        };
        let light = Quality {
            reflection_share: 0.5,
            ..fine()
        };
        assert!(lids.tip().is_some_and(|tip| tip.contains("wider")));
        assert!(light.tip().is_some_and(|tip| tip.contains("mirrored")));
    }

    #[test]
    fn every_figure_has_a_tip() {
        for (figure, _) in fine().worths() {
            assert!(fine().tip_on(figure).is_some(), "{figure}");
        }
    }
}
