//! Arbitrary bytes at the head of a stream.

use super::frame::{correlation_id, length};
use super::name::{HELLO_BYTES, MeshName};
use super::preamble::Preamble;
use futures_util::FutureExt;

/// The head of a stream of requests, and the first request after it.
pub(crate) fn preamble(mut bytes: &[u8]) {
    let whole = Preamble::decode(bytes);
    let read = Preamble::read(&mut bytes).now_or_never().expect("bytes at hand are not waited for");
    if let Ok(Ok(preamble)) = &read {
        let written = preamble.encode().expect("what was read has its limits");
        assert_eq!(Preamble::decode(&written).as_ref(), Ok(preamble));
    }
    if let Ok(preamble) = whole {
        assert_eq!(read.ok(), Some(Ok(preamble)), "both ways of reading agree");
    }
    if length(bytes).is_some() {
        assert!(correlation_id(bytes).is_some(), "what is long enough for a request has its number");
    }
}

/// The first bytes of a connection.
pub(crate) fn hello(bytes: &[u8]) {
    let Some(hello) = bytes.first_chunk::<HELLO_BYTES>() else { return };
    if let Ok(name) = MeshName::decode(hello) {
        assert_eq!(name.encode(), *hello);
    }
}

/// A preamble with the first request behind it, and a hello.
#[cfg(test)]
pub(crate) fn seeds() -> [Vec<u8>; 2] {
    use crate::types::{BrokerId, ClusterId, SessionId, ViewNumber};
    use uuid::Uuid;
    let preamble = Preamble {
        view: ViewNumber(258),
        listener: "public".to_owned(),
        client: ([192, 0, 2, 7], 40_001).into(),
        security: super::ClientSecurity::Encrypted,
        principal: "User:anna".to_owned(),
    };
    let name = MeshName {
        cluster: ClusterId(Uuid::from_bytes([0xC1; 16])),
        broker: BrokerId(3),
        session: SessionId(Uuid::from_bytes([0x5E; 16])),
    };
    [preamble.encode().expect("within its limits").to_vec(), name.encode().to_vec()]
}
