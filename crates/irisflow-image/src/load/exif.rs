//! The one thing we want of EXIF: which way up the photo is. Everything else in it is left behind.

use exif::{In, Reader, Tag};

use crate::geometry::{PixelRect, QuarterTurn};

/// How stored rows and columns become the upright photo; the names and numbers of EXIF tag 0x0112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    #[default]
    Upright = 1,
    MirroredHorizontally = 2,
    UpsideDown = 3,
    MirroredVertically = 4,
    /// Mirrored over the diagonal from the top left to the bottom right.
    Transposed = 5,
    /// To be turned 90 degrees clockwise.
    TurnedLeft = 6,
    /// Mirrored over the other diagonal.
    Transversed = 7,
    /// To be turned 90 degrees counterclockwise.
    TurnedRight = 8,
}

impl Orientation {
    /// Numbers that EXIF does not define mean nothing.
    pub fn from_exif(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Upright,
            2 => Self::MirroredHorizontally,
            3 => Self::UpsideDown,
            4 => Self::MirroredVertically,
            5 => Self::Transposed,
            6 => Self::TurnedLeft,
            7 => Self::Transversed,
            8 => Self::TurnedRight,
            _ => return None,
        })
    }

    pub fn exif_value(self) -> u8 {
        self as u8
    }

    /// The orientation of the same photo, when the upright one is turned as well.
    pub(super) fn turned(self, turn: QuarterTurn) -> Self {
        let clockwise = match self {
            Self::Upright => Self::TurnedLeft,
            Self::TurnedLeft => Self::UpsideDown,
            Self::UpsideDown => Self::TurnedRight,
            Self::TurnedRight => Self::Upright,
            Self::MirroredHorizontally => Self::Transversed,
            Self::Transversed => Self::MirroredVertically,
            Self::MirroredVertically => Self::Transposed,
            Self::Transposed => Self::MirroredHorizontally,
        };
        match turn {
            QuarterTurn::Clockwise => clockwise,
            // Three turns the other way.
            QuarterTurn::Counterclockwise => clockwise
                .turned(QuarterTurn::Clockwise)
                .turned(QuarterTurn::Clockwise),
        }
    }

    fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Transposed | Self::TurnedLeft | Self::Transversed | Self::TurnedRight
        )
    }

    /// The size of the upright photo.
    pub fn upright_size(self, width: u32, height: u32) -> (u32, u32) {
        if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The part of a stored `width` x `height` photo that `rect` of the upright one shows.
    pub(super) fn stored_rect(self, rect: PixelRect, width: u32, height: u32) -> PixelRect {
        let from_right = |start: u32, length: u32| width.saturating_sub(start + length);
        let from_bottom = |start: u32, length: u32| height.saturating_sub(start + length);
        let (x, y) = match self {
            Self::Upright => (rect.x, rect.y),
            Self::MirroredHorizontally => (from_right(rect.x, rect.width), rect.y),
            Self::UpsideDown => (
                from_right(rect.x, rect.width),
                from_bottom(rect.y, rect.height),
            ),
            Self::MirroredVertically => (rect.x, from_bottom(rect.y, rect.height)),
            Self::Transposed => (rect.y, rect.x),
            Self::TurnedLeft => (rect.y, from_bottom(rect.x, rect.width)),
            Self::Transversed => (
                from_right(rect.y, rect.height),
                from_bottom(rect.x, rect.width),
            ),
            Self::TurnedRight => (from_right(rect.y, rect.height), rect.x),
        };
        let (width, height) = self.upright_size(rect.width, rect.height);
        PixelRect {
            x,
            y,
            width,
            height,
        }
    }

    /// Where the upright photo lies in the stored one.
    pub(super) fn walk(self, width: u32, height: u32) -> Walk {
        let (right, bottom) = (i64::from(width) - 1, i64::from(height) - 1);
        let row = i64::from(width);
        let last_row = bottom * row;
        let (origin, step_x, step_y) = match self {
            Self::Upright => (0, 1, row),
            Self::MirroredHorizontally => (right, -1, row),
            Self::UpsideDown => (last_row + right, -1, -row),
            Self::MirroredVertically => (last_row, 1, -row),
            Self::Transposed => (0, row, 1),
            Self::TurnedLeft => (last_row, -row, 1),
            Self::Transversed => (last_row + right, -row, -1),
            Self::TurnedRight => (right, row, -1),
        };
        Walk {
            origin,
            step_x,
            step_y,
        }
    }
}

/// Index of an upright pixel in stored order: `origin + x * step_x + y * step_y`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    origin: i64,
    step_x: i64,
    step_y: i64,
}

impl Walk {
    /// Stored indices of `count` upright pixels from `(x, y)` to the right, all of them in the photo.
    pub(super) fn row(self, x: u32, y: u32, count: u32) -> impl Iterator<Item = usize> {
        let start = self.origin + i64::from(x) * self.step_x + i64::from(y) * self.step_y;
        (0..i64::from(count)).map(move |i| (start + i * self.step_x) as usize)
    }
}

/// The orientation that a TIFF block (EXIF without its `Exif\0\0`) names; upright when it names none.
pub(super) fn orientation_of(tiff: &[u8]) -> Orientation {
    let read = std::panic::catch_unwind(|| {
        Reader::new()
            .continue_on_error(true)
            .read_raw(tiff.to_vec())
            .or_else(|error| error.distill_partial_result(|_errors| {}))
            .ok()?
            .get_field(Tag::Orientation, In::PRIMARY)?
            .value
            .get_uint(0)
    });
    read.ok()
        .flatten()
        .and_then(Orientation::from_exif)
        .unwrap_or_default()
}

/// The smallest TIFF block that says how the photo is turned, and nothing else.
pub(super) fn minimal_tiff(orientation: Orientation) -> [u8; 26] {
    let mut tiff = *b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0";
    tiff[19] = orientation.exif_value();
    tiff
}
