//! Prints the best candidates of a photo with their evidence and confidence.

use std::fmt::Write as _;

use irisflow_image::load::EyePhoto;
use irisflow_image::segment::{PhotoPixels as _, find_candidates};

pub(super) fn explain_photo(name: &str, photo: &EyePhoto) -> anyhow::Result<String> {
    let mut text = format!("{name} {:?}\n", photo.size());
    for candidate in find_candidates(photo).iter().take(4) {
        let (iris, pupil) = (candidate.iris, candidate.pupil);
        writeln!(
            text,
            "  {:.3} iris ({:.0}, {:.0}) {:.0}x{:.0} pupil ({:.0}, {:.0}) {:.0}",
            candidate.confidence,
            iris.cx,
            iris.cy,
            iris.rx,
            iris.ry,
            pupil.cx,
            pupil.cy,
            pupil.mean_radius()
        )?;
        writeln!(text, "     {:?}", candidate.evidence)?;
    }
    Ok(text)
}
