//! A position in a user's timeline, as clients keep it to resume.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// One history of a timeline. A restored database begins a new one, since clients have seen events that
/// happened after the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimelineEpoch(Uuid);

impl TimelineEpoch {
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for TimelineEpoch {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// Every event with a `seq` up to this one has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub epoch: TimelineEpoch,
    pub seq: i64,
}

impl Cursor {
    /// The position of a later event of the same history.
    #[must_use]
    pub fn at(self, seq: i64) -> Self {
        Self { seq, ..self }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch.0.simple(), self.seq)
    }
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (epoch, seq) = text.split_once(':').ok_or(InvalidCursor)?;
        let epoch = Uuid::try_parse(epoch).map_err(|_| InvalidCursor)?;
        let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = is_number.then(|| seq.parse().ok()).flatten();
        Ok(Self {
            epoch: TimelineEpoch(epoch),
            seq: seq.ok_or(InvalidCursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor {
            epoch: TimelineEpoch::from(Uuid::from_u128(7)),
            seq: 41,
        };
        assert_eq!(cursor.to_string(), "00000000000000000000000000000007:41");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn other_texts_are_no_cursors() {
        let epoch = "00000000000000000000000000000007";
        for text in ["", ":", "41", epoch] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
        for seq in ["", "-1", "+1", "x", "99999999999999999999"] {
            let text = format!("{epoch}:{seq}");
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
