//! The schemas of the requests that this broker reads, from Apache Kafka's message definitions.
//!
//! One line per field, in wire order, with the versions that have it.

use super::Null::{Allowed, Refused};
use super::{Field, Kind, Shape};
use crate::wire::api::ApiKey;

mod groups;
mod share;
mod topics;
mod transactions;

const INT8: Kind = Kind::Fixed(1);
const BOOL: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text(Refused);
const TEXT_OR_NULL: Kind = Kind::Text(Allowed);
const BYTES: Kind = Kind::Blob(Refused);
const RECORDS: Kind = Kind::Blob(Allowed);

/// Of requests that have no version with compact lengths.
const NEVER: i16 = i16::MAX;

const fn array(element: &'static Kind) -> Kind {
    Kind::Array(Refused, element)
}

const fn array_or_null(element: &'static Kind) -> Kind {
    Kind::Array(Allowed, element)
}

impl Kind {
    const fn always(self) -> Field {
        self.since(0)
    }

    const fn since(self, from: i16) -> Field {
        self.within(from, i16::MAX)
    }

    const fn within(self, from: i16, to: i16) -> Field {
        Field { kind: self, from, to, tag: None }
    }

    const fn tagged(self, tag: u32, from: i16) -> Field {
        Field { kind: self, from, to: i16::MAX, tag: Some(tag) }
    }
}

/// The schema of that API's requests, if `kafka_protocol` has this version of it.
pub(super) fn shape_of(api_key: i16, api_version: i16) -> Option<&'static Shape> {
    let mut shapes = all();
    let shape = shapes.find(|shape| shape.api_key.code() == api_key)?;
    shape.versions.contains(&api_version).then_some(shape)
}

/// Every schema there is, also of what is not advertised.
pub(super) fn all() -> impl Iterator<Item = &'static Shape> {
    [topics::SHAPES, groups::SHAPES, transactions::SHAPES, share::SHAPES].into_iter().flatten().copied()
}

/// A topic and some of its partitions.
const NAME_AND_PARTITIONS: Kind = Kind::Struct(&[
    TEXT.always(),          // name
    array(&INT32).always(), // partitions
]);

/// The same by the topic's id.
const ID_AND_PARTITIONS: Kind = Kind::Struct(&[
    UUID.always(),          // topic_id
    array(&INT32).always(), // partitions
]);
