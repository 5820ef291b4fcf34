//! The steps of a job and the ten checkpoints of progress.

use serde::{Deserialize, Serialize};

/// One step of a job. The serialised name is the internal one, as in `removing_reflections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Loading,
    Segmenting,
    RemovingReflections,
    Enhancing,
    Saving,
    Completed,
}

impl Step {
    /// The steps in which work is done, in order.
    pub const WORKING: [Self; 5] = [
        Self::Loading,
        Self::Segmenting,
        Self::RemovingReflections,
        Self::Enhancing,
        Self::Saving,
    ];

    /// The internal name, as stored and as `current_step` in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Segmenting => "segmenting",
            Self::RemovingReflections => "removing_reflections",
            Self::Enhancing => "enhancing",
            Self::Saving => "saving",
            Self::Completed => "completed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "loading" => Some(Self::Loading),
            "segmenting" => Some(Self::Segmenting),
            "removing_reflections" => Some(Self::RemovingReflections),
            "enhancing" => Some(Self::Enhancing),
            "saving" => Some(Self::Saving),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }
}

/// A point of the work that clients are shown. `Completed` is reached by finishing a job, the others by
/// a worker's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    LoadingBegun,
    LoadingDone,
    SegmentingBegun,
    SegmentingDone,
    RemovingReflectionsBegun,
    RemovingReflectionsDone,
    EnhancingBegun,
    EnhancingDone,
    SavingBegun,
    Completed,
}

impl Checkpoint {
    pub const ALL: [Self; 10] = [
        Self::LoadingBegun,
        Self::LoadingDone,
        Self::SegmentingBegun,
        Self::SegmentingDone,
        Self::RemovingReflectionsBegun,
        Self::RemovingReflectionsDone,
        Self::EnhancingBegun,
        Self::EnhancingDone,
        Self::SavingBegun,
        Self::Completed,
    ];

    pub fn step(self) -> Step {
        match self {
            Self::LoadingBegun | Self::LoadingDone => Step::Loading,
            Self::SegmentingBegun | Self::SegmentingDone => Step::Segmenting,
            Self::RemovingReflectionsBegun | Self::RemovingReflectionsDone => {
                Step::RemovingReflections
            }
            Self::EnhancingBegun | Self::EnhancingDone => Step::Enhancing,
            Self::SavingBegun => Step::Saving,
            Self::Completed => Step::Completed,
        }
    }

    /// Progress in per cent.
    pub fn progress(self) -> u8 {
        match self {
            Self::LoadingBegun => 5,
            Self::LoadingDone => 10,
            Self::SegmentingBegun => 20,
            Self::SegmentingDone => 40,
            Self::RemovingReflectionsBegun => 50,
            Self::RemovingReflectionsDone => 60,
            Self::EnhancingBegun => 70,
            Self::EnhancingDone => 90,
            Self::SavingBegun => 95,
            Self::Completed => 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_rise_through_the_promised_percentages() {
        let progress: Vec<u8> = Checkpoint::ALL.iter().map(|c| c.progress()).collect();
        assert_eq!(progress, [5, 10, 20, 40, 50, 60, 70, 90, 95, 100]);
    }

    #[test]
    fn every_step_is_found_by_its_name() {
        for step in Step::WORKING.into_iter().chain([Step::Completed]) {
            assert_eq!(Step::from_name(step.name()), Some(step));
        }
    }
}
