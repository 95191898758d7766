//! What stands behind the `?` of a request.

use super::{Refusal, bad};
use crate::types::{Offset, PartitionIndex};

/// Which page is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// This partition alone.
    pub partition: Option<PartitionIndex>,
    /// Where the page before ended.
    pub from: Option<String>,
    /// Entries of the page.
    pub limit: usize,
}

/// Entries of a page that nobody gave a number for.
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;

impl Query {
    pub fn parse(text: Option<&str>) -> Result<Query, Refusal> {
        let mut query = Query { limit: LIMIT_DEFAULT, ..Query::default() };
        for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "partition" => query.partition = Some(number(&name, &value).map(PartitionIndex)?),
                "from" => query.from = Some(value.into_owned()),
                "limit" => query.limit = number::<usize>(&name, &value)?.clamp(1, LIMIT_MAX),
                other => return Err(bad(format!("{other:?} is none of partition, from and limit"))),
            }
        }
        Ok(query)
    }

    /// `P:O`: the partition and the offset to go on at.
    pub fn place(&self) -> Result<(PartitionIndex, Offset), Refusal> {
        let Some(from) = &self.from else { return Ok((PartitionIndex(0), Offset::ZERO)) };
        let parts = from.split_once(':');
        let parts =
            parts.and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)));
        let (partition, offset) =
            parts.ok_or_else(|| bad(format!("from is {from:?}, expected PARTITION:OFFSET")))?;
        Ok((PartitionIndex(partition), Offset(offset)))
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| bad(format!("{name} is {value:?}, expected a number")))
}
