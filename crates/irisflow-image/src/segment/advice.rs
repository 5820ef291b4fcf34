//! What can be said about a usable photo: how good it is, and what would make the next one better. As
//! codes; the sentences are in `irisflow-messages`.

use super::Quality;

/// From this score on a photo without a weak figure gets the highest praise.
const BEAUTIFUL_SCORE: u8 = 80;
/// With one weak figure a photo is still good.
const GOOD_SCORE: u8 = 60;
/// A photo with a lower score can be used, but its picture is not fit for a print.
const ENOUGH_SCORE: u8 = 35;
/// A figure worth less than this is worth a tip.
const WORTH_A_TIP: f32 = 0.6;
/// Less detail than this share of the pixels across the iris is blur, not distance.
const LEAST_DETAIL_SHARE: f32 = 0.6;

/// How good a usable photo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Praise {
    Beautiful,
    Good,
    GoodEnough,
    Weak,
}

/// The one change that would make the next photo better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tip {
    ComeCloser,
    TurnFromLight,
    OpenEyeWider,
    ShowWholeIris,
    HoldStill,
    MoreLight,
    SofterLight,
    EvenLight,
    LetPupilOpen,
    LetPupilClose,
    LookStraight,
}

impl Quality {
    pub fn praise(&self) -> Praise {
        match self.score() {
            BEAUTIFUL_SCORE.. if self.tip().is_none() => Praise::Beautiful,
            GOOD_SCORE.. => Praise::Good,
            ENOUGH_SCORE.. => Praise::GoodEnough,
            _ => Praise::Weak,
        }
    }

    /// About the weak figure that costs most of the score, when one is weak.
    pub fn tip(&self) -> Option<Tip> {
        let worths = self.worths().into_iter();
        let weak = worths.filter(|worth| worth.worth < WORTH_A_TIP);
        let weakest = weak.min_by(|a, b| a.weighted().total_cmp(&b.weighted()))?;
        self.tip_on(weakest.figure)
    }

    /// `figure` is a name of [`Quality::worths`].
    fn tip_on(&self, figure: &str) -> Option<Tip> {
        let hidden_by_light = self.reflection_share > 1.0 - self.visible_share;
        let is_cut_off = self.share_in_frame < self.visible_share;
        let is_blurred = self.detail_across < LEAST_DETAIL_SHARE * 2.0 * self.iris_radius_px;
        let tip = match figure {
            "detail" if is_blurred => Tip::HoldStill,
            "detail" => Tip::ComeCloser,
            "area" if hidden_by_light => Tip::TurnFromLight,
            "area" if is_cut_off => Tip::ShowWholeIris,
            "area" => Tip::OpenEyeWider,
            "sharpness" => Tip::HoldStill,
            "exposure" if self.median_luma < 100.0 => Tip::MoreLight,
            "exposure" => Tip::SofterLight,
            "contrast" => Tip::EvenLight,
            "pupil" if self.pupil_ratio < 0.3 => Tip::LetPupilOpen,
            "pupil" => Tip::LetPupilClose,
            "gaze" => Tip::LookStraight,
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
        assert_eq!(fine().praise(), Praise::Beautiful);
        assert_eq!(fine().tip(), None);
    }

    #[test]
    fn one_weak_figure_gets_its_tip_and_spoils_the_highest_praise() {
        let soft = Quality {
            sharpness: 0.15,
            sharpness_around: 0.15,
            ..fine()
        };
        assert_eq!(soft.praise(), Praise::Good);
        assert_eq!(soft.tip(), Some(Tip::HoldStill));
    }

    #[test]
    fn a_photo_weak_in_many_ways_is_not_praised() {
        let weak = Quality {
            iris_radius_px: 45.0,
            detail_across: 90.0,
            sharpness: 0.13,
            sharpness_around: 0.13,
            visible_share: 0.5,
            ..fine()
        };
        assert_eq!(weak.praise(), Praise::Weak);
        assert_eq!(weak.tip(), Some(Tip::ComeCloser));
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
        assert_eq!(lids.tip(), Some(Tip::OpenEyeWider));
        assert_eq!(light.tip(), Some(Tip::TurnFromLight));
    }

    #[test]
    fn each_weak_figure_has_its_tip() {
        let tips = [
            (
                Quality {
                    median_luma: 20.0,
                    ..fine()
                },
                Tip::MoreLight,
            ),
            (
                Quality {
                    median_luma: 225.0,
                    ..fine()
                },
                Tip::SofterLight,
            ),
            (
                Quality {
                    limbus_contrast: 10.0,
                    ..fine()
                },
                Tip::EvenLight,
            ),
            (
                Quality {
                    pupil_ratio: 0.12,
                    ..fine()
                },
                Tip::LetPupilOpen,
            ),
            (
                Quality {
                    pupil_ratio: 0.75,
                    ..fine()
                },
                Tip::LetPupilClose,
            ),
            (
                Quality {
                    gaze_deg: 50.0,
                    ..fine()
                },
                Tip::LookStraight,
            ),
        ];
        for (quality, tip) in tips {
            assert_eq!(quality.tip(), Some(tip));
        }
    }

    #[test]
    fn every_figure_has_a_tip() {
        for worth in fine().worths() {
            assert!(fine().tip_on(worth.figure).is_some(), "{worth:?}");
        }
    }
}
