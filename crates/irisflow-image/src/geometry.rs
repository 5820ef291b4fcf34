//! Ellipses, polylines and rectangles in pixels of the upright photo. No pixels here: see `plane.rs`.

/// An ellipse: centre, semi-axes and the rotation of the first semi-axis.
///
/// Lengths are pixels; `angle_deg` is in degrees, from the x axis towards the y axis (clockwise as
/// seen on the screen), in `[0, 180)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ellipse {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    pub angle_deg: f32,
}

impl Ellipse {
    /// A circle around `(cx, cy)`.
    pub fn circle(cx: f32, cy: f32, radius: f32) -> Self {
        Self {
            cx,
            cy,
            rx: radius,
            ry: radius,
            angle_deg: 0.0,
        }
    }

    /// The radius of the circle with the same area.
    pub fn mean_radius(&self) -> f32 {
        (self.rx * self.ry).sqrt()
    }

    /// The point on the outline at the parameter `theta_rad` (the polar angle of the unrotated unit
    /// circle before it is scaled by the axes and rotated).
    pub fn point_at(&self, theta_rad: f32) -> (f32, f32) {
        let (sin_a, cos_a) = self.angle_deg.to_radians().sin_cos();
        let (sin_t, cos_t) = theta_rad.sin_cos();
        let (x, y) = (self.rx * cos_t, self.ry * sin_t);
        (
            self.cx + x * cos_a - y * sin_a,
            self.cy + x * sin_a + y * cos_a,
        )
    }

    /// How far out a point lies: 0 at the centre, 1 on the outline, above 1 outside.
    pub fn normalised_distance(&self, x: f32, y: f32) -> f32 {
        let (sin_a, cos_a) = self.angle_deg.to_radians().sin_cos();
        let (dx, dy) = (x - self.cx, y - self.cy);
        let u = (dx * cos_a + dy * sin_a) / self.rx;
        let v = (-dx * sin_a + dy * cos_a) / self.ry;
        (u * u + v * v).sqrt()
    }

    pub fn contains(&self, x: f32, y: f32) -> bool {
        self.normalised_distance(x, y) <= 1.0
    }

    /// From where to where the line `y` lies inside; none beside the ellipse.
    pub fn columns_at(&self, y: f32) -> Option<(f32, f32)> {
        // In the ellipse's frame (u / rx)^2 + (v / ry)^2 = 1 with u = dx cos + dy sin,
        // v = dy cos - dx sin: a quadratic in dx.
        let (sin, cos) = self.angle_deg.to_radians().sin_cos();
        let (p, q) = (1.0 / (self.rx * self.rx), 1.0 / (self.ry * self.ry));
        let dy = y - self.cy;
        let a = p * cos * cos + q * sin * sin;
        let half_b = dy * sin * cos * (p - q);
        let c = dy * dy * (p * sin * sin + q * cos * cos) - 1.0;
        let discriminant = half_b * half_b - a * c;
        let root = (discriminant > 0.0).then(|| discriminant.sqrt())?;
        Some((
            self.cx + (-half_b - root) / a,
            self.cx + (-half_b + root) / a,
        ))
    }

    /// From where to where the column `x` lies inside; none beside the ellipse.
    pub fn rows_at(&self, x: f32) -> Option<(f32, f32)> {
        let mirrored = Self {
            cx: self.cy,
            cy: self.cx,
            angle_deg: 90.0 - self.angle_deg,
            ..*self
        };
        mirrored.columns_at(x)
    }
}

/// Half-open rectangle of whole pixels: `x .. x + width`, `y .. y + height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelRect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl PixelRect {
    /// The same part of a picture of half the size; corners are even.
    pub fn halved(self) -> Self {
        Self {
            x: self.x / 2,
            y: self.y / 2,
            width: self.width / 2,
            height: self.height / 2,
        }
    }
}

/// A turn of a picture by 90 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarterTurn {
    Clockwise,
    Counterclockwise,
}

impl QuarterTurn {
    pub const BOTH: [Self; 2] = [Self::Clockwise, Self::Counterclockwise];

    /// The stable name that reports carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clockwise => "clockwise",
            Self::Counterclockwise => "counterclockwise",
        }
    }

    pub fn reversed(self) -> Self {
        match self {
            Self::Clockwise => Self::Counterclockwise,
            Self::Counterclockwise => Self::Clockwise,
        }
    }

    /// Where a point of a picture of this size (width, height) lies after the turn.
    pub fn point(self, (x, y): (f32, f32), (width, height): (u32, u32)) -> (f32, f32) {
        match self {
            Self::Clockwise => (height as f32 - y, x),
            Self::Counterclockwise => (y, width as f32 - x),
        }
    }

    /// The same for a part of the picture, which lies within it.
    pub fn rect(self, rect: PixelRect, (width, height): (u32, u32)) -> PixelRect {
        let (x, y) = match self {
            Self::Clockwise => (height - (rect.y + rect.height), rect.x),
            Self::Counterclockwise => (rect.y, width - (rect.x + rect.width)),
        };
        PixelRect {
            x,
            y,
            width: rect.height,
            height: rect.width,
        }
    }

    /// The same for an ellipse: its axes change places, since its angle stays.
    pub fn ellipse(self, ellipse: &Ellipse, size: (u32, u32)) -> Ellipse {
        let (cx, cy) = self.point((ellipse.cx, ellipse.cy), size);
        Ellipse {
            cx,
            cy,
            rx: ellipse.ry,
            ry: ellipse.rx,
            angle_deg: ellipse.angle_deg,
        }
    }
}

/// A lid's margin as points from left to right.
pub type Polyline = Vec<(f32, f32)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_and_its_reverse_leave_points_and_ellipses_where_they_were() {
        let (size, turned_size) = ((400, 300), (300, 400));
        let ellipse = Ellipse {
            cx: 100.0,
            cy: 50.0,
            rx: 30.0,
            ry: 20.0,
            angle_deg: 25.0,
        };
        let on_it = ellipse.point_at(1.0);
        for turn in QuarterTurn::BOTH {
            let turned = turn.ellipse(&ellipse, size);
            let (x, y) = turn.point(on_it, size);
            assert!((turned.normalised_distance(x, y) - 1.0).abs() < 1e-4);
            let back = turn.reversed();
            assert_eq!(back.ellipse(&turned, turned_size), ellipse);
        }
        let rect = PixelRect {
            x: 10,
            y: 20,
            width: 50,
            height: 30,
        };
        for turn in QuarterTurn::BOTH {
            let turned = turn.rect(rect, size);
            assert_eq!(turn.reversed().rect(turned, turned_size), rect);
        }
        let top_left = QuarterTurn::Clockwise.point((0.0, 0.0), size);
        assert_eq!(top_left, (300.0, 0.0), "it comes to the top right");
    }
}
