//! Reading the label plane of a segmentation at a point of the photo.

use crate::segment::{IrisSegmentation, Label};

impl IrisSegmentation {
    /// The label of the photo's pixel at `(x, y)`; nothing outside the labelled part.
    pub fn label_at(&self, x: f32, y: f32) -> Label {
        let column = x.floor() as i64 - i64::from(self.rect.x);
        let row = y.floor() as i64 - i64::from(self.rect.y);
        let is_inside = (0..i64::from(self.rect.width)).contains(&column)
            && (0..i64::from(self.rect.height)).contains(&row);
        if !is_inside {
            return Label::Nothing;
        }
        match self.labels.at(column as u32, row as u32) {
            1 => Label::VisibleIris,
            2 => Label::Pupil,
            3 => Label::Hidden,
            4 => Label::Reflection,
            _ => Label::Nothing,
        }
    }
}
