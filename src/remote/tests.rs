//! Requests between brokers are read to their last byte, and no further.

use super::*;
use bytes::BufMut;

#[test]
fn what_is_written_is_read_and_nothing_else() {
    let mut request = RequestKind::Markers.request();
    request.put_i64(-5);
    put_text(&mut request, "name");
    let (kind, mut fields) = RequestKind::of(request.clone().into()).expect("written as it should");
    assert_eq!(kind, RequestKind::Markers);
    assert_eq!((fields.i64(), fields.text(4).as_deref()), (Ok(-5), Ok("name")));
    assert_eq!(fields.end(), Ok(()));
    for length in 0..request.len() {
        let cut = RequestKind::of(Bytes::copy_from_slice(&request[..length]));
        let read = cut.and_then(|(_, mut fields)| fields.i64().and_then(|_| fields.text(4)));
        assert_eq!(read, Err(Malformed), "cut at {length}");
    }
    let (_, mut fields) = RequestKind::of(request.into()).expect("written as it should");
    assert_eq!(fields.i64().and_then(|_| fields.text(3)), Err(Malformed), "longer than it may be");
    assert_eq!(fields.end(), Err(Malformed));
}

#[test]
fn another_release_is_not_misread() {
    assert_eq!(RequestKind::of(Bytes::from_static(&[2, 1])).map(|(kind, _)| kind), Err(Malformed));
    assert_eq!(RequestKind::of(Bytes::from_static(&[1, 0])).map(|(kind, _)| kind), Err(Malformed));
    assert!(Answered::fields(Answered::NotUnderstood.answer().into()).is_err());
    assert!(Answered::fields(Answered::Understood.answer().into()).is_ok());
    let long = vec![VERSION; REQUEST_BYTES_MAX + 1];
    assert_eq!(RequestKind::of(long.into()).map(|(kind, _)| kind), Err(Malformed));
}
