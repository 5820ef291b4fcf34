//! `irisflow process` from the outside: files in, files out, exit status.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const EYE: &str = "pixabay_eye_3221498_gray";

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../irisflow-image/tests/photos")
        .join(name)
        .with_extension("jpg")
}

/// A folder of its own for each test, empty at the start.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("process")
            .join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the test");
        Self { folder }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        fs::write(&path, bytes).expect("a file for the test");
        path
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn process(&self, photos: &[PathBuf], options: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_irisflow"))
            .arg("process")
            .args(photos)
            .arg("--out")
            .arg(self.out())
            .args(options)
            .output()
            .expect("the program starts")
    }

    fn results(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out()).expect("the results' folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    fn report(&self, name: &str) -> Value {
        let text = fs::read(self.out().join(format!("{name}.json"))).expect("a report");
        serde_json::from_slice(&text).expect("JSON")
    }
}

#[test]
fn a_photo_becomes_a_picture_a_mask_a_before_and_a_report() {
    let desk = Desk::new("completed");
    let ended = desk.process(&[photo(EYE)], &[]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let expected = ["", "_before", "_mask"].map(|part| {
        format!(
            "{EYE}{part}.{}",
            if part == "_mask" { "png" } else { "jpg" }
        )
    });
    let mut expected = expected.to_vec();
    expected.push(format!("{EYE}.json"));
    expected.sort();
    assert_eq!(desk.results(), expected);
}

#[test]
fn the_report_says_where_the_iris_is_in_pixels_of_the_photo() {
    let desk = Desk::new("report");
    desk.process(&[photo(EYE)], &[]);
    let report = desk.report(EYE);
    assert_eq!(report["status"], "completed");
    assert_eq!(report["rejection"], Value::Null);
    assert_eq!(report["photo"]["width"], 450);
    // Measured by hand: centre (225.7, 196.3), radius 82.0, pupil radius 22.1.
    let near = |value: &Value, expected: f64, margin: f64| {
        let value = value.as_f64().expect("a number");
        assert!((value - expected).abs() < margin, "{value} for {expected}");
    };
    near(&report["iris"]["cx"], 225.7, 5.0);
    near(&report["iris"]["cy"], 196.3, 5.0);
    near(&report["iris"]["rx"], 82.0, 6.0);
    near(&report["pupil"]["rx"], 22.1, 4.0);
    assert!(
        report["confidence"]
            .as_f64()
            .is_some_and(|c| (0.0..=1.0).contains(&c))
    );
    assert!(
        report["upper_lid"]
            .as_array()
            .is_some_and(|lid| lid.len() > 2)
    );
    for step in [
        "loading",
        "segmenting",
        "removing_reflections",
        "enhancing",
        "saving",
    ] {
        assert!(
            report["steps_ms"][step]
                .as_f64()
                .is_some_and(|ms| ms >= 0.0)
        );
    }
}

#[test]
fn the_steps_are_told_on_standard_error_and_the_result_on_standard_output() {
    let desk = Desk::new("progress");
    let ended = desk.process(&[photo(EYE)], &[]);
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let steps = [
        "Preparing your image...",
        "Finding your iris...",
        "Removing reflections...",
        "Enhancing quality...",
        "Almost done...",
        "Complete!",
    ];
    let places: Vec<_> = steps.iter().map(|step| stderr.find(step)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{stderr}"
    );
    let result = desk.out().join(format!("{EYE}.jpg"));
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout).trim(),
        result.to_string_lossy()
    );
}

#[test]
fn diagnostics_add_labels_and_an_overlay_in_the_photos_size() {
    let desk = Desk::new("diagnostics");
    desk.process(&[photo(EYE)], &["--diagnostics"]);
    assert_eq!(desk.results().len(), 6);
    let labels = fs::read(desk.out().join(format!("{EYE}_labels.png"))).expect("labels");
    assert_eq!(labels[16..24], [0, 0, 1, 0xc2, 0, 0, 1, 0x5c], "450 x 348");
}

#[test]
fn a_rejected_photo_leaves_its_report_alone() {
    let desk = Desk::new("rejected");
    let text = desk.put("notes.jpg", b"not a photo at all");
    let ended = desk.process(&[text], &["--diagnostics"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(desk.results(), ["notes.json"]);
    let report = desk.report("notes");
    assert_eq!(report["status"], "rejected");
    assert_eq!(report["rejection"]["code"], "not_an_image");
    for words in ["message", "suggestion"] {
        assert!(
            report["rejection"][words]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
}

#[test]
fn one_bad_photo_does_not_stop_the_others() {
    let desk = Desk::new("mixed");
    let text = desk.put("notes.jpg", b"not a photo at all");
    let ended = desk.process(&[text, photo(EYE)], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(desk.report(EYE)["status"], "completed");
}

#[test]
fn a_path_that_cannot_be_read_is_told_and_the_others_go_on() {
    let desk = Desk::new("unreadable");
    let ended = desk.process(&["no/such/eye.jpg".into(), photo(EYE)], &[]);
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot read no/such/eye.jpg"));
    assert_eq!(desk.report(EYE)["status"], "completed");
}

#[test]
fn two_photos_of_one_name_get_results_of_their_own() {
    let desk = Desk::new("same_name");
    let left = desk.put("left/eye.jpg", b"left");
    let right = desk.put("right/eye.jpg", b"right");
    desk.process(&[left, right], &[]);
    assert_eq!(desk.results(), ["eye-2.json", "eye.json"]);
}

#[test]
fn a_photo_in_the_results_folder_is_not_replaced() {
    let desk = Desk::new("in_place");
    let bytes = fs::read(photo(EYE)).expect("the photo");
    let inside = desk.put("out/eye.jpg", &bytes);
    let ended = desk.process(std::slice::from_ref(&inside), &[]);
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(fs::read(inside).expect("the photo"), bytes);
    assert_eq!(desk.report("eye-2")["status"], "completed");
}

#[test]
fn nothing_half_written_is_left_behind() {
    let desk = Desk::new("whole");
    desk.process(&[photo(EYE)], &[]);
    assert!(desk.results().iter().all(|name| !name.contains(".part")));
}

#[test]
fn a_command_line_without_photos_or_folder_is_a_usage_error() {
    let desk = Desk::new("usage");
    assert_eq!(desk.process(&[], &[]).status.code(), Some(2));
    let without_folder = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["process", "eye.jpg"])
        .output()
        .expect("the program starts");
    assert_eq!(without_folder.status.code(), Some(2));
}
