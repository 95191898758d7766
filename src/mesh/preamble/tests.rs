use super::{ClientSecurity, PRINCIPAL_BYTES_MAX, Preamble, PreambleError};
use crate::types::ViewNumber;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn preamble() -> Preamble {
    Preamble {
        view: ViewNumber(258),
        listener: "public".to_owned(),
        client: "192.0.2.7:40001".parse().unwrap(),
        security: ClientSecurity::Encrypted,
        principal: "User:anna".to_owned(),
    }
}

#[test]
fn a_preamble_has_these_bytes() {
    let hex: String = preamble().encode().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "002f010400019c4100000102c000020700000000000000000000000006000009\
                    7075626c6963557365723a616e6e61";
    assert_eq!(hex, expected);
}

#[test]
fn what_is_not_known_is_refused() {
    let bytes = preamble().encode().unwrap();
    let changed = |position: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[position] = byte;
        Preamble::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(2, 2), PreambleError::Version(2));
    assert_eq!(changed(5, 3), PreambleError::Flags(3));
    assert_eq!(changed(3, 5), PreambleError::Malformed);
    assert_eq!(changed(20, 1), PreambleError::Malformed, "an address of version 4 with a tail");
    assert_eq!(changed(29, 1), PreambleError::Malformed);
    assert_eq!(changed(1, 0x30), PreambleError::Malformed);
    assert!(matches!(changed(28, 200), PreambleError::TooLong { bytes: 200, .. }));
    assert_eq!(Preamble::decode(&bytes[..20]), Err(PreambleError::Malformed));
    let long = Preamble { principal: "x".repeat(PRINCIPAL_BYTES_MAX + 1), ..preamble() };
    assert!(matches!(long.encode(), Err(PreambleError::TooLong { bytes: 257, .. })));
}

#[tokio::test]
async fn only_the_preamble_is_taken_from_the_stream() {
    let mut bytes = preamble().encode().unwrap().to_vec();
    bytes.extend_from_slice(b"request");
    let mut rest = bytes.as_slice();
    assert_eq!(Preamble::read(&mut rest).await.unwrap(), Ok(preamble()));
    assert_eq!(rest, b"request");
    assert!(Preamble::read(&mut &bytes[..40]).await.is_err(), "cut");
}

proptest! {
    #[test]
    fn a_preamble_comes_back_as_it_was(
        view in any::<i32>(),
        listener in "[a-zA-Z0-9é]{0,60}",
        host in any::<IpAddr>(),
        port in any::<u16>(),
        encrypted in any::<bool>(),
        principal in "\\PC{0,60}",
    ) {
        let security = if encrypted { ClientSecurity::Encrypted } else { ClientSecurity::Plain };
        let client = SocketAddr::new(host, port);
        let preamble = Preamble { view: ViewNumber(view), listener, client, security, principal };
        prop_assert_eq!(Preamble::decode(&preamble.encode().unwrap()), Ok(preamble));
    }

    #[test]
    fn no_bytes_are_too_much_for_it(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = Preamble::decode(&bytes);
    }
}
