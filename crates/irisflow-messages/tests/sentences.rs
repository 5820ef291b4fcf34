//! Every sentence about photos and jobs, as people read it, under snapshot; and that the texts hold no key
//! that nothing uses.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use std::fs;
use std::path::Path;

use irisflow_image::load::{PhotoFormat, UnsupportedFormat};
use irisflow_image::rejection::{MissedLimit, Rejection};
use irisflow_image::segment::{Quality, Side, Tip};
use irisflow_jobs::{Step, WaitingReason};
use irisflow_messages::{Language, Text, failures, photos, progress};

const SIDES: [Side; 4] = [Side::Left, Side::Right, Side::Top, Side::Bottom];

fn said(text: Text) -> String {
    text.in_language(Language::English)
}

fn missed(figure: &'static str, value: f64, threshold: f64) -> MissedLimit {
    MissedLimit {
        figure,
        value,
        threshold,
    }
}

fn unreadable_files() -> Vec<Rejection> {
    let mut all = vec![Rejection::EmptyFile, Rejection::NotAPhoto];
    for format in [PhotoFormat::Jpeg, PhotoFormat::Png, PhotoFormat::WebP] {
        all.push(Rejection::TruncatedFile { format });
        all.push(Rejection::DamagedFile { format });
    }
    let formats = [
        UnsupportedFormat::Gif,
        UnsupportedFormat::TiffOrRaw,
        UnsupportedFormat::JpegXl,
        UnsupportedFormat::Jpeg2000,
        UnsupportedFormat::Photoshop,
        UnsupportedFormat::Icon,
        UnsupportedFormat::Qoi,
        UnsupportedFormat::Bmp,
        UnsupportedFormat::AnimatedWebP,
        UnsupportedFormat::HeightlessJpeg,
        UnsupportedFormat::LosslessJpeg,
        UnsupportedFormat::TwelveBitJpeg,
        UnsupportedFormat::CmykJpeg,
        UnsupportedFormat::Avif,
        UnsupportedFormat::Heic,
    ];
    all.extend(formats.map(|format| Rejection::UnsupportedFormat { format }));
    all
}

fn too_large_photos() -> Vec<Rejection> {
    let bytes = |value, threshold| Rejection::TooManyBytes(missed("bytes", value, threshold));
    let pixels = |value, threshold| Rejection::TooManyPixels(missed("pixels", value, threshold));
    let side =
        |value, threshold| Rejection::SideTooLong(missed("longer_side_px", value, threshold));
    let scans = |value, threshold| Rejection::TooManyScans(missed("passes", value, threshold));
    let memory =
        |value, threshold| Rejection::TooMuchMemory(missed("decode_bytes", value, threshold));
    vec![
        bytes(52_428_801.0, 52_428_800.0),
        bytes(1_073_741_824.0, 52_428_800.0),
        bytes(1_572_865.0, 1_572_864.0),
        bytes(2.0, 1.0),
        pixels(60_000_001.0, 60_000_000.0),
        pixels(108_000_000.0, 60_000_000.0),
        pixels(2.0, 1.0),
        side(20_001.0, 20_000.0),
        side(2.0, 1.0),
        scans(1_001.0, 1_000.0),
        scans(2.0, 1.0),
        memory(2_147_483_648.0, 1_073_741_824.0),
        memory(1_572_865.0, 1_572_864.0),
    ]
}

fn unusable_eyes() -> Vec<Rejection> {
    let no_iris = |value, well_lit| Rejection::NoIrisFound {
        confidence: missed("confidence", value, 0.65),
        well_lit,
    };
    let too_small = |radius, times_closer| Rejection::IrisTooSmall {
        radius_px: missed("iris_radius_px", radius, 40.0),
        times_closer,
    };
    let visible = missed("visible_share", 0.35, 0.4);
    let mut all = vec![
        no_iris(0.31, true),
        no_iris(0.0, false),
        too_small(39.990002, Some(2)),
        too_small(29.9, Some(3)),
        too_small(15.0, Some(4)),
        too_small(12.0, Some(5)),
        too_small(10.0, Some(6)),
        too_small(0.0, None),
    ];
    all.extend(SIDES.map(|side| Rejection::IrisCutOff {
        share_in_frame: missed("share_in_frame", 0.3, 0.45),
        side,
    }));
    let tips = [
        Tip::ComeCloser,
        Tip::TurnFromLight,
        Tip::OpenEyeWider,
        Tip::ShowWholeIris,
        Tip::HoldStill,
        Tip::MoreLight,
        Tip::SofterLight,
        Tip::LookStraight,
    ];
    all.extend(
        tips.into_iter()
            .map(Some)
            .chain([None])
            .map(|tip| Rejection::IrisUnclear {
                confidence: missed("confidence", 0.41, 0.65),
                tip,
            }),
    );
    all.push(Rejection::LookingAway(missed("gaze_deg", 48.5, 42.0)));
    all.extend([
        Rejection::TooDark(missed("median_luma", 9.0, 10.0)),
        Rejection::TooDark(missed("luma_p95", 30.123455, 36.0)),
        Rejection::Overexposed(missed("median_luma", 231.0, 225.0)),
        Rejection::Overexposed(missed("luma_p15", 250.5, 246.0)),
        Rejection::IrisBehindLids(visible),
        Rejection::IrisBehindHair(visible),
    ]);
    let lights = SIDES.into_iter().map(Some).chain([None]);
    all.extend(lights.map(|light_from| Rejection::IrisBehindLight {
        usable_share: missed("usable_share", 0.19, 0.35),
        light_from,
    }));
    all.push(Rejection::TooBlurry(missed("sharpness", 0.0512, 0.085)));
    all
}

#[test]
fn rejections_say_what_is_wrong_and_what_to_do() {
    let all = [unreadable_files(), too_large_photos(), unusable_eyes()].concat();
    let lines = all.iter().map(|rejection| {
        let advice = photos::rejection(rejection);
        let missed = rejection.missed_limit();
        let missed = missed.map_or_else(String::new, |missed| said(photos::missed_limit(&missed)));
        let (message, suggestion) = (said(advice.message), said(advice.suggestion));
        let code = rejection.code().as_str();
        format!("{code}: {message} | {suggestion} | {missed}\n")
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

const FINE: Quality = Quality {
    iris_radius_px: 400.0,
    detail_across: 800.0,
    share_in_frame: 1.0,
    pupil_ratio: 0.35,
    visible_share: 0.95,
    reflection_share: 0.02,
    sharpness: 0.4,
    sharpness_around: 0.4,
    median_luma: 100.0,
    clipped_share: 0.0,
    limbus_contrast: 60.0,
    gaze_deg: 5.0,
};

fn photos_to_better() -> Vec<Quality> {
    let mut all = vec![FINE; 14];
    (all[1].iris_radius_px, all[1].detail_across) = (90.0, 180.0);
    all[2].reflection_share = 0.5;
    all[3].visible_share = 0.45;
    (all[4].sharpness, all[4].sharpness_around) = (0.15, 0.15);
    all[5].median_luma = 20.0;
    all[6].median_luma = 225.0;
    all[7].limbus_contrast = 10.0;
    all[8].pupil_ratio = 0.12;
    all[9].pupil_ratio = 0.75;
    all[10].gaze_deg = 40.0;
    all[12].detail_across = 150.0;
    all[13].share_in_frame = 0.5;
    all[11] = Quality {
        iris_radius_px: 45.0,
        detail_across: 90.0,
        sharpness: 0.13,
        sharpness_around: 0.13,
        visible_share: 0.5,
        ..FINE
    };
    all
}

#[test]
fn usable_photos_are_praised_with_a_tip() {
    let mut lines = String::new();
    for quality in photos_to_better() {
        let praise = said(photos::praise(&quality, 1));
        let tip = quality.tip().map(photos::tip_text).map(said);
        let tip = tip.as_deref().unwrap_or("-");
        lines += &format!("{}: {praise} {tip}\n", quality.score());
    }
    for eyes in [0, 1, 2, 3, 11] {
        lines += &format!("{eyes} eyes: {}\n", said(photos::praise(&FINE, eyes)));
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn each_step_and_each_reason_to_wait_has_its_words() {
    let steps = Step::WORKING.into_iter().chain([Step::Completed]);
    let steps = steps.map(Some).chain([None]).map(progress::step);
    let ahead = [0, 1, 2, 1_234];
    let mut reasons = vec![
        WaitingReason::RetryBackoff { attempt: 1 },
        WaitingReason::RetryBackoff { attempt: 2 },
        WaitingReason::NoWorkerAlive,
        WaitingReason::Service,
        WaitingReason::WorkersBusy,
        WaitingReason::Next,
    ];
    reasons.extend(ahead.map(|ahead| WaitingReason::OwnJobsAhead { ahead }));
    reasons.extend(ahead.map(|ahead| WaitingReason::FairnessTurn { ahead }));
    reasons.extend(ahead.map(|ahead| WaitingReason::QueueAhead { ahead, own: 0 }));
    reasons.extend([1, 2].map(|own| WaitingReason::QueueAhead { ahead: own, own }));
    reasons.push(WaitingReason::QueueAhead {
        ahead: 1_234,
        own: 7,
    });
    let lines = steps.chain(reasons.into_iter().map(progress::waiting));
    insta::assert_snapshot!(lines.map(|text| said(text) + "\n").collect::<String>());
}

#[test]
fn each_failure_says_what_happened_and_what_to_do() {
    let rejected = Rejection::TooBlurry(missed("sharpness", 0.0512, 0.085));
    let all = [
        failures::storage_unavailable(),
        failures::timed_out(),
        failures::step_failed(),
        failures::worker_lost(),
        failures::cancelled(),
        failures::result_missing(),
        failures::unexpected(),
        failures::rejected(&rejected),
    ];
    let lines = all.map(|failure| {
        let error_type = failure.error_type.name();
        let (code, message, suggestion) = (failure.code, failure.message, failure.suggestion);
        format!("{error_type} {code}: {message} | {suggestion}\n")
    });
    insta::assert_snapshot!(lines.concat());
}

/// Each key of the texts stands in the source of some crate as the key of a `text!` or `advice!`.
#[test]
fn no_text_is_unused() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in fs::read_dir(crates).expect("the crates") {
        read_sources(&folder.expect("a crate").path().join("src"), &mut sources);
    }
    let texts = include_str!("../texts/en.ftl");
    let keys = texts
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let keys = keys
        .filter_map(|line| line.split_once(" ="))
        .map(|(key, _)| key);
    let unused: Vec<&str> = keys
        .filter(|key| !sources.contains(&format!("\"{key}\"")))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}
