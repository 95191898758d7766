//! Requests of every API, with every field set that a version has: what the walk must let through.

use crate::wire::messages::{GroupId, TopicName, TransactionalId};
use crate::wire::{Request, StrBytes};
use bytes::{Bytes, BytesMut};
use uuid::Uuid;

mod groups;
mod share;
mod topics;
mod transactions;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name() -> TopicName {
    TopicName(text("orders"))
}

fn group() -> GroupId {
    GroupId(text("readers"))
}

fn transactional_id() -> TransactionalId {
    TransactionalId(text("txn"))
}

const ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

/// `value` in the versions that have the field, else what stands for its absence.
fn since<T>(version: i16, from: i16, value: T, absent: T) -> T {
    if version >= from { value } else { absent }
}

/// One request as bytes, and whether `kafka_protocol` reads the same from other bytes without trouble.
pub(super) struct Sample {
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) body: Bytes,
    /// Decodes other bytes with the same message; whether all of them were read.
    pub(super) decode: fn(Bytes, i16) -> bool,
}

fn sample<R: Request>(version: i16, request: &R) -> Sample {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("the sample sets only what the version has");
    let decode = |mut body: Bytes, version: i16| R::decode(&mut body, version).is_ok() && body.is_empty();
    Sample { api_key: R::KEY, version, body: body.freeze(), decode }
}

/// Populated, empty, and null where legal; for every API and version.
pub(super) fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    topics::add(&mut all);
    groups::add(&mut all);
    transactions::add(&mut all);
    share::add(&mut all);
    all
}
