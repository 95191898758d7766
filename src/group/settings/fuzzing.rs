//! Arbitrary bytes where settings of groups are stored.

use super::GroupSettings;
use super::stored::{decode, encode};
use crate::meta::Entry;
use crate::meta::fuzzing::stored;

pub(crate) fn settings(entry: &Entry) {
    stored(entry, decode, |(group_id, overrides)| encode(group_id, overrides));
    if let Ok((_, overrides)) = decode(entry) {
        let _: Result<_, _> = GroupSettings::parse(&overrides);
    }
}

#[cfg(test)]
pub(crate) fn seed() -> bytes::Bytes {
    let overrides =
        [("consumer.session.timeout.ms", "50000"), ("share.auto.offset.reset", "by_duration:PT1H")];
    let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
    encode(&crate::group::GroupId::new("a/b"), &overrides.into())
}
