//! A side of the photo: where the frame cuts an iris off, and where mirrored light comes from.

use crate::geometry::Ellipse;

/// A side of the photo, as its viewer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

impl Side {
    /// The side of `(dx, dy)`, y down, as seen from the origin.
    pub(super) fn towards(dx: f32, dy: f32) -> Self {
        match (dx.abs() >= dy.abs(), dx >= 0.0, dy >= 0.0) {
            (true, false, _) => Self::Left,
            (true, true, _) => Self::Right,
            (false, _, false) => Self::Top,
            (false, _, true) => Self::Bottom,
        }
    }

    /// Where the frame cuts most off the iris.
    pub(super) fn most_cut(iris: &Ellipse, (width, height): (u32, u32)) -> Self {
        let beyond = [
            (Self::Left, iris.rx - iris.cx),
            (Self::Right, iris.cx + iris.rx - width as f32),
            (Self::Top, iris.ry - iris.cy),
            (Self::Bottom, iris.cy + iris.ry - height as f32),
        ];
        let most = beyond.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        most.map_or(Self::Left, |(side, _)| side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iris_is_cut_at_the_side_it_is_nearest_to() {
        let cut = |cx, cy| Side::most_cut(&Ellipse::circle(cx, cy, 50.0), (400, 300));
        assert_eq!(
            [
                cut(10.0, 150.0),
                cut(390.0, 150.0),
                cut(200.0, 10.0),
                cut(200.0, 290.0)
            ],
            [Side::Left, Side::Right, Side::Top, Side::Bottom]
        );
    }
}
