//! What goes to another broker is what comes there.

use super::*;
use uuid::Uuid;

fn read(request: &Bytes) -> Result<Option<ShareRequest>, Malformed> {
    let (kind, fields) = RequestKind::of(request.clone())?;
    ShareRequest::decode(kind, fields)
}

#[test]
fn requests_and_answers_come_as_they_went() {
    let partition = TopicPartition { topic_id: TopicId(Uuid::from_u128(7)), partition: PartitionIndex(3) };
    let (group_id, member_id) = (GroupId::new("g"), MemberId::new("m"));
    let key = ShareKey { group_id: group_id.clone(), partition };
    let requests = [
        ShareRequest::HasMember(group_id.clone(), member_id.clone()),
        ShareRequest::MemberGone(group_id, member_id),
        ShareRequest::Alter(key.clone(), Offset(9)),
        ShareRequest::Delete(key),
    ];
    for request in requests {
        let encoded = request.encode();
        assert_eq!(read(&encoded), Ok(Some(request)));
        assert_eq!(read(&encoded.slice(..encoded.len() - 1)), Err(Malformed));
    }
    assert_eq!(read(&RequestKind::Markers.request().into()), Ok(None), "of another room");
    for answer in [ShareAnswer::No, ShareAnswer::Yes, ShareAnswer::NotHere, ShareAnswer::Unavailable] {
        assert_eq!(ShareAnswer::decode(answer.encode()), Ok(answer));
    }
}
