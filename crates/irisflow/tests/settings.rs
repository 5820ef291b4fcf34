//! The tables of docs/operations.md name settings that exist and state their defaults; settings come from flags, the
//! environment and a file, in this order.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use std::collections::BTreeMap;
use std::process::Command;

/// The settings of `irisflow serve` with their numeric defaults, as `--help` shows them.
fn settings() -> BTreeMap<String, Option<u64>> {
    let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["serve", "--help"])
        .output()
        .expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("text");
    let mut settings = BTreeMap::new();
    let mut current = String::new();
    for line in help.lines() {
        let words = line.split_whitespace();
        if let Some(flag) = words.clone().find(|word| word.starts_with("--"))
            && line.trim_start().starts_with('-')
        {
            current = flag.to_owned();
            settings.insert(current.clone(), None);
        }
        if let Some((_, rest)) = line.split_once("[default: ") {
            let default = rest.split(']').next().unwrap_or_default();
            settings.insert(current.clone(), default.parse().ok());
        }
    }
    settings
}

/// How a default may be written in the table.
fn spellings(setting: &str, value: u64) -> Vec<String> {
    let mut spellings = vec![with_commas(value)];
    let mut in_units = |units: &[(u64, &str)]| {
        for (size, unit) in units {
            if value.is_multiple_of(*size) {
                spellings.push(format!("{} {unit}", value / size));
            }
        }
    };
    if setting.ends_with("-ms") {
        in_units(&[(1_000, "s"), (60_000, "min"), (3_600_000, "h")]);
    } else if setting.ends_with("-bytes") {
        in_units(&[(1 << 20, "MiB"), (1 << 30, "GiB")]);
    } else if setting.ends_with("-pixels") {
        in_units(&[(1_000_000, "megapixels")]);
    }
    spellings
}

fn with_commas(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn contains_word(row: &str, spelling: &str) -> bool {
    row.match_indices(spelling).any(|(start, found)| {
        let before = row[..start].chars().next_back();
        let after = row[start + found.len()..].chars().next();
        let goes_on = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !goes_on(before) && !goes_on(after)
    })
}

#[test]
fn the_documented_defaults_are_those_of_the_program() {
    let settings = settings();
    assert!(settings.len() > 40, "the help was understood: {settings:?}");
    let page = include_str!("../../../docs/operations.md");
    let mut checked = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        for flag in row.split('`').filter(|word| word.starts_with("--")) {
            let default = settings.get(flag);
            let default = default.unwrap_or_else(|| panic!("{flag} is no setting: {row}"));
            if let Some(value) = default {
                let spellings = spellings(flag, *value);
                assert!(
                    spellings.iter().any(|text| contains_word(row, text)),
                    "{flag} is {value} by default, as one of {spellings:?}: {row}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} defaults are documented");
}

/// `irisflow config` with these arguments and variables; its exit code, and what it has said.
fn configured(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .arg("config")
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

fn file_of(settings: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temp file");
    std::fs::write(file.path(), settings).expect("written");
    file
}

#[test]
fn a_flag_overrides_a_variable_and_a_variable_the_file() {
    let file = file_of(
        "# All nodes\nIRISFLOW_LEASE_MS=1111\nIRISFLOW_BACKOFF_MS = \"2222\"\nexport IRISFLOW_MAX_RETRIES=3\n\
         IRISFLOW_NO_WORK=true\nIRISFLOW_WORK_LISTEN=127.0.0.1:9\n",
    );
    let path = file.path().to_str().expect("a path");
    let variables = [
        ("IRISFLOW_BACKOFF_MS", "4444"),
        ("IRISFLOW_MAX_RETRIES", "5"),
    ];

    let (code, said) = configured(&["--config", path, "--max-retries", "6"], &variables);

    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    for line in [
        "IRISFLOW_LEASE_MS=1111",
        "IRISFLOW_BACKOFF_MS=4444",
        "IRISFLOW_MAX_RETRIES=6",
        "IRISFLOW_NO_WORK=true",
        "# IRISFLOW_REGISTRATION=open",
        "# IRISFLOW_PUBLIC_URL=",
    ] {
        assert!(lines.contains(&line), "{line}: {said}");
    }
}

#[test]
fn printed_settings_are_a_file_of_settings() {
    let given = [
        "--lease-ms",
        "1234",
        "--allowed-origins",
        "https://a.org,https://b.org",
    ];
    let (_, printed) = configured(&given, &[]);
    let file = file_of(&printed);

    let (code, again) = configured(&["--config", file.path().to_str().expect("a path")], &[]);

    assert_eq!((code, again), (Some(0), printed));
}

#[test]
fn printed_settings_hide_secrets() {
    let variables = [
        (
            "IRISFLOW_DATABASE_URL",
            "postgres://user:Swordfish@host/database",
        ),
        ("IRISFLOW_METRICS_TOKEN", "Swordfish"),
        ("IRISFLOW_OTLP_HEADERS", "authorization=Bearer Swordfish"),
    ];
    let (code, said) = configured(&[], &variables);
    assert_eq!(code, Some(0));
    assert!(said.contains("IRISFLOW_DATABASE_URL=(hidden)"), "{said}");
    assert!(!said.contains("Swordfish"), "{said}");
}

#[test]
fn a_mistake_in_a_file_of_settings_is_named_without_its_values() {
    for (settings, named) in [
        ("IRISFLOW_LEASE_MS=1\npassword Swordfish\n", "line 2"),
        ("IRISFLOW_LEESE_MS=Swordfish\n", "IRISFLOW_LEESE_MS"),
    ] {
        let file = file_of(settings);
        let path = file.path().to_str().expect("a path");
        let (code, said) = configured(&["--config", path], &[]);
        assert_eq!(code, Some(3), "{said}");
        assert!(
            said.contains(named) && !said.contains("Swordfish"),
            "{said}"
        );
    }
    let (code, said) = configured(&["--config", "/no/such/file"], &[]);
    assert_eq!(code, Some(3));
    assert!(said.contains("/no/such/file"), "{said}");
}
