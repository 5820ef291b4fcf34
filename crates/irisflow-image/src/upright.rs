//! Photos that lie on their side. Cameras record which way up a photo is, but much software drops the record without
//! turning the pixels; the networks know upright eyes only.

use crate::geometry::{Polyline, QuarterTurn};
use crate::load::EyePhoto;
use crate::plane::Plane;
use crate::segment::{
    IrisSegmentation, PhotoPixels, Verdict, judge_at_first_sight, judge_with_likeliest,
};

/// A photo with the verdict on it, both turned by `turn`.
#[derive(Debug)]
pub struct Judged {
    pub photo: EyePhoto,
    pub verdict: Verdict,
    /// None: the photo is as its file says.
    pub turn: Option<QuarterTurn>,
}

/// Judges the photo as it is. Where no eye is seen that way, but one that can be used after a turn by 90 degrees, the
/// photo is turned, so that the eye is measured with most confidence.
pub fn judge_either_way_up(mut photo: EyePhoto) -> Judged {
    let (verdict, likeliest) = judge_with_likeliest(&photo);
    if verdict.iris.is_some() {
        return Judged {
            photo,
            verdict,
            turn: None,
        };
    }
    let size = photo.size();
    let turned = QuarterTurn::BOTH.into_iter().filter_map(|turn| {
        let likeliest = likeliest.map(|iris| turn.ellipse(&iris, size));
        photo.turn(turn);
        let verdict = judge_at_first_sight(&photo, likeliest.as_ref());
        photo.turn(turn.reversed());
        Some((turn, verdict?))
    });
    let confidence = |verdict: &Verdict| match (&verdict.rejection, &verdict.iris) {
        (None, Some(iris)) => iris.confidence,
        _ => 0.0,
    };
    let best = turned
        .max_by(|(_, a), (_, b)| confidence(a).total_cmp(&confidence(b)))
        .filter(|(_, verdict)| confidence(verdict) > 0.0);
    match best {
        Some((turn, verdict)) => {
            photo.turn(turn);
            Judged {
                photo,
                verdict,
                turn: Some(turn),
            }
        }
        None => Judged {
            photo,
            verdict,
            turn: None,
        },
    }
}

/// What was found in a photo of this size, on the same photo after a turn.
pub fn turned(found: &IrisSegmentation, turn: QuarterTurn, size: (u32, u32)) -> IrisSegmentation {
    let line = |line: &Polyline| line.iter().map(|&point| turn.point(point, size)).collect();
    IrisSegmentation {
        iris: turn.ellipse(&found.iris, size),
        pupil: turn.ellipse(&found.pupil, size),
        upper_lid: line(&found.upper_lid),
        lower_lid: line(&found.lower_lid),
        rect: turn.rect(found.rect, size),
        labels: turned_plane(&found.labels, turn),
        ..*found
    }
}

fn turned_plane(plane: &Plane, turn: QuarterTurn) -> Plane {
    let (width, height) = (plane.width, plane.height);
    let mut turned = Plane::filled(height, width, 0);
    for y in 0..width {
        for (x, sample) in (0..).zip(turned.row_mut(y)) {
            *sample = match turn {
                QuarterTurn::Clockwise => plane.at(y, height - 1 - x),
                QuarterTurn::Counterclockwise => plane.at(width - 1 - y, x),
            };
        }
    }
    turned
}
