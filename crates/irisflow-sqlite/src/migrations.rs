//! The steps of the schema, embedded. A step that was released never changes: databases keep its checksum.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Lists the names of the files in `migrations/`, in order.
macro_rules! steps {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../migrations/", $name, ".sql")))),*]
    };
}

/// Names, `NUMBER_DESCRIPTION`, and statements.
const STEPS: &[(&str, &str)] = steps![
    "0001_start",
    "0002_failing_sweeps",
    "0003_people",
    "0004_submissions_batches_outlook",
    "0005_claim_order",
    "0006_health",
    "0007_intakes_and_storage",
    "0008_consents_and_pruning",
    "0009_watching",
    "0010_webhooks",
    "0011_previews",
    "0012_picture_options",
];

pub(crate) fn migrator() -> Migrator {
    let steps = (1..).zip(STEPS).map(|(version, (name, statements))| {
        let description = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        Migration::new(
            version,
            description.replace('_', " ").into(),
            MigrationType::Simple,
            statements.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_step() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it is readable").file_name())
            .map(|name| name.into_string().expect("a plain name"))
            .collect();
        files.sort();
        let steps: Vec<_> = STEPS
            .iter()
            .map(|(name, _)| format!("{name}.sql"))
            .collect();
        assert_eq!(files, steps);
    }

    #[test]
    fn steps_are_numbered_as_their_files() {
        for ((name, _), step) in STEPS.iter().zip(migrator().iter()) {
            assert!(name.starts_with(&format!("{:04}_", step.version)), "{name}");
        }
    }
}
