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

/// A lid's margin as points from left to right.
pub type Polyline = Vec<(f32, f32)>;
