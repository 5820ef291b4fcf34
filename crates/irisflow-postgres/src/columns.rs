//! Columns of a row as the types of the domain. Numbers are `BIGINT`, ids are `UUID`, instants are milliseconds.

use irisflow_jobs::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

type Result<T> = std::result::Result<T, sqlx::Error>;

pub(crate) fn id<T: From<Uuid>>(row: &PgRow, column: &str) -> Result<T> {
    row.try_get::<Uuid, _>(column).map(T::from)
}

pub(crate) fn optional_id<T: From<Uuid>>(row: &PgRow, column: &str) -> Result<Option<T>> {
    let id: Option<Uuid> = row.try_get(column)?;
    Ok(id.map(T::from))
}

pub(crate) fn time(row: &PgRow, column: &str) -> Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

pub(crate) fn optional_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>> {
    let millis: Option<i64> = row.try_get(column)?;
    Ok(millis.map(Timestamp::from_millis))
}

/// A number that is never negative, or of a smaller type.
pub(crate) fn number<T>(row: &PgRow, column: &str) -> Result<T>
where
    T: TryFrom<i64>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let number: i64 = row.try_get(column)?;
    of_number(number)
}

pub(crate) fn optional_number<T>(row: &PgRow, column: &str) -> Result<Option<T>>
where
    T: TryFrom<i64>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let number: Option<i64> = row.try_get(column)?;
    number.map(of_number).transpose()
}

fn of_number<T>(number: i64) -> Result<T>
where
    T: TryFrom<i64>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// As a bound value: what is beyond the range of `BIGINT` is its end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sum or count, which is never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
