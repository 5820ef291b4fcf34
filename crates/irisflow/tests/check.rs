//! `irisflow check` from the outside: a line per photo, exit status.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../irisflow-image/tests/photos")
        .join(name)
}

fn eye() -> PathBuf {
    photo("pixabay_eye_2154384.jpg")
}

fn bear() -> PathBuf {
    photo("mdn_teddy-bear.jpg")
}

fn check(photos: &[PathBuf], options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .arg("check")
        .args(photos)
        .args(options)
        .output()
        .expect("the program starts")
}

fn lines(ended: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&ended.stdout);
    said.lines().map(str::to_owned).collect()
}

fn objects(ended: &Output) -> Vec<Value> {
    let lines = lines(ended);
    let parsed = lines.iter().map(|line| serde_json::from_str(line));
    parsed.map(|object| object.expect("JSON")).collect()
}

#[test]
fn a_usable_photo_is_told_its_score_in_a_line() {
    let ended = check(&[eye()], &[]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let [line] = &lines(&ended)[..] else {
        panic!("one line: {ended:?}")
    };
    assert!(line.contains("pixabay_eye_2154384.jpg: usable, "), "{line}");
    assert!(line.contains(" of 100: "), "{line}");
}

#[test]
fn a_photo_without_an_eye_is_told_why_and_what_to_do() {
    let ended = check(&[bear()], &[]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let line = lines(&ended).concat();
    assert!(line.contains("not usable, no_iris_found"), "{line}");
    assert!(line.contains("(confidence 0"), "{line}");
    assert!(line.contains("Come close to one open eye"), "{line}");
}

#[test]
fn each_photo_has_its_line_in_order_and_the_worst_decides_the_exit_status() {
    let ended = check(&[eye(), bear(), eye()], &[]);
    let usable: Vec<bool> = lines(&ended)
        .iter()
        .map(|line| line.contains(": usable"))
        .collect();
    assert_eq!(usable, [true, false, true]);
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn json_says_where_the_iris_is_in_pixels_of_the_photo() {
    let ended = check(&[photo("pixabay_eye_3221498_gray.jpg")], &["--json"]);
    let [object] = &objects(&ended)[..] else {
        panic!("one object: {ended:?}")
    };
    assert_eq!(object["usable"], true);
    assert_eq!(object["rejection"], Value::Null);
    assert_eq!(object["photo"]["width"], 450);
    // Measured by hand: centre (225.7, 196.3), radius 82.0.
    for (field, expected) in [("cx", 225.7), ("cy", 196.3), ("rx", 82.0)] {
        let value = object["iris"][field].as_f64().expect("a number");
        assert!((value - expected).abs() < 6.0, "{field} {value}");
    }
    assert!(
        object["quality_score"]
            .as_u64()
            .is_some_and(|score| score <= 100)
    );
    assert!(object["quality"]["sharpness"].is_number());
}

#[test]
fn json_of_a_rejection_holds_its_number_and_limit_and_no_outline() {
    let ended = check(&[bear()], &["--json"]);
    let object = objects(&ended).remove(0);
    assert_eq!(object["usable"], false);
    assert_eq!(object["rejection"]["code"], "no_iris_found");
    assert_eq!(object["rejection"]["threshold"], 0.65);
    assert_eq!(object["iris"], Value::Null);
}

#[test]
fn a_path_that_cannot_be_read_is_told_and_the_others_go_on() {
    let ended = check(&["no/such/eye.jpg".into(), eye()], &[]);
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot read no/such/eye.jpg"));
    assert_eq!(lines(&ended).len(), 1);
}

#[test]
fn a_dash_reads_standard_input() {
    let file = std::fs::File::open(bear()).expect("the photo");
    let ended = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["check", "-"])
        .stdin(Stdio::from(file))
        .output()
        .expect("the program starts");
    assert!(lines(&ended).concat().starts_with("-: not usable"));
}

#[test]
fn what_is_no_photo_is_rejected_and_not_a_failure() {
    let ended = check(&[photo("SOURCES.md")], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(lines(&ended).concat().contains("not usable, not_an_image"));
}

#[test]
fn no_photo_is_a_usage_error() {
    assert_eq!(check(&[], &[]).status.code(), Some(2));
}
