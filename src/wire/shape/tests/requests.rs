//! Requests of every API, with every field set that a version has: what the walk must let through.

use crate::wire::api::ApiKey;
use crate::wire::messages::{GroupId, TopicName, TransactionalId};
use crate::wire::{Request, StrBytes};
use bytes::{BufMut, Bytes, BytesMut};
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
pub(crate) struct Sample {
    pub(crate) api_key: i16,
    pub(crate) version: i16,
    pub(crate) body: Bytes,
    /// Decodes other bytes with the same message; whether all of them were read.
    pub(crate) decode: fn(Bytes, i16) -> bool,
}

impl Sample {
    /// Whether that version of the request has compact lengths.
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        ApiKey::from_code(self.api_key).is_some_and(|api_key| super::is_flexible(api_key, version))
    }

    /// With its header, and without its length.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.put_i16(self.api_key);
        frame.put_i16(self.version);
        frame.put_i32(7);
        frame.put_i16(-1);
        frame.put_slice(if self.is_flexible(self.version) { &[0] } else { &[] });
        frame.put_slice(&self.body);
        frame
    }
}

fn sample<R: Request>(version: i16, request: &R) -> Sample {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("the sample sets only what the version has");
    let decode = |mut body: Bytes, version: i16| R::decode(&mut body, version).is_ok() && body.is_empty();
    Sample { api_key: R::KEY, version, body: body.freeze(), decode }
}

/// Populated, empty, and null where legal; for every API and version.
pub(crate) fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    topics::add(&mut all);
    groups::add(&mut all);
    transactions::add(&mut all);
    share::add(&mut all);
    all
}
