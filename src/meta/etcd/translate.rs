//! Our keys and transactions as etcd's, and its answers as ours. Pure.
//!
//! Every key has the cluster's prefix in front of it; `Absent` is a mod revision of 0, which no key that exists has. Both
//! branches of a transaction read the same keys, so that it reads the same whether it holds or not.

use super::api;
use crate::meta::{
    Compare, Entry, KeyChange, MetadataError, Revision, Transaction, TransactionAnswer, Write,
};
use bytes::Bytes;

/// A key as etcd has it.
pub(super) fn full_key(prefix: &str, key: &str) -> Bytes {
    Bytes::from([prefix, key].concat())
}

/// The end of the range of all keys that start with `prefix`: its successor.
pub(super) fn range_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end.into();
        }
    }
    // No byte can grow: to the last of all keys.
    Bytes::from_static(&[0])
}

/// A stored number that is never negative.
pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}

/// A revision as etcd takes it.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// The revision of an answer; every answer has one.
pub(super) fn revision_of(header: Option<&api::ResponseHeader>) -> Result<Revision, MetadataError> {
    let header = header.ok_or_else(|| MetadataError::Unknown("etcd's answer has no header".to_owned()))?;
    Ok(revision(header.revision))
}

/// What etcd has as an entry of ours.
pub(super) fn entry(prefix: &str, kv: api::KeyValue) -> Result<Entry, MetadataError> {
    Ok(Entry { key: own_key(prefix, &kv.key)?, value: kv.value, mod_revision: revision(kv.mod_revision) })
}

fn own_key(prefix: &str, key: &[u8]) -> Result<String, MetadataError> {
    let key = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(prefix));
    let strange = || MetadataError::Refused(format!("etcd has a key below {prefix} that is not ours"));
    key.map(str::to_owned).ok_or_else(strange)
}

/// What a watch told of one key.
pub(super) fn change(prefix: &str, event: api::Event) -> Result<(Revision, KeyChange), MetadataError> {
    let kv = event.kv.ok_or_else(|| MetadataError::Refused("an event of etcd has no key".to_owned()))?;
    let changed = revision(kv.mod_revision);
    let change = match event.kind {
        api::EVENT_DELETE => KeyChange::Deleted(own_key(prefix, &kv.key)?),
        _ => KeyChange::Put(entry(prefix, kv)?),
    };
    Ok((changed, change))
}

/// A transaction as etcd takes it.
pub(super) fn request(prefix: &str, transaction: &Transaction) -> api::TxnRequest {
    let writes = transaction.writes.iter().map(|write| op(write_request(prefix, write)));
    let read = |key: &String| read_request(full_key(prefix, key));
    let mut reads: Vec<_> = transaction.reads.iter().map(read).map(op).collect();
    if transaction.writes.is_empty() && reads.is_empty() {
        // etcd looks at a transaction that reads nothing wherever it arrives, on a member that lags behind too.
        reads.push(op(read_request(full_key(prefix, ""))));
    }
    api::TxnRequest {
        compare: transaction.compares.iter().map(|compare| compare_request(prefix, compare)).collect(),
        success: writes.chain(reads.iter().cloned()).collect(),
        failure: reads,
    }
}

fn op(request: api::Request) -> api::RequestOp {
    api::RequestOp { request: Some(request) }
}

fn read_request(key: Bytes) -> api::Request {
    api::Request::Range(api::RangeRequest { key, ..api::RangeRequest::default() })
}

fn write_request(prefix: &str, write: &Write) -> api::Request {
    let key = full_key(prefix, write.key());
    match write {
        Write::Put(_, value) => api::Request::Put(api::PutRequest { key, value: value.clone(), lease: 0 }),
        Write::PutLeased(_, value, lease) => {
            api::Request::Put(api::PutRequest { key, value: value.clone(), lease: lease.0 })
        }
        Write::Delete(_) => api::Request::DeleteRange(api::DeleteRangeRequest { key }),
    }
}

fn compare_request(prefix: &str, compare: &Compare) -> api::Compare {
    let mod_revision = match compare {
        Compare::Absent(_) => 0,
        // No key was written by revision 0, which to etcd is that of a key that is absent.
        Compare::Unchanged(_, Revision(0)) => i64::MAX,
        Compare::Unchanged(_, revision) => number(*revision),
    };
    api::Compare {
        target: api::TARGET_MOD_REVISION,
        key: full_key(prefix, compare.key()),
        target_union: Some(api::TargetUnion::ModRevision(mod_revision)),
    }
}

/// etcd's answer to [`request`]. One that does not fit it says nothing about what was done.
pub(super) fn answer(
    prefix: &str,
    transaction: &Transaction,
    response: api::TxnResponse,
) -> Result<TransactionAnswer, MetadataError> {
    let revision = revision_of(response.header.as_ref())?;
    let written = if response.succeeded { transaction.writes.len() } else { 0 };
    let mut answers = response.responses.into_iter().skip(written);
    let mut reads = Vec::with_capacity(transaction.reads.len());
    for key in &transaction.reads {
        let Some(api::ResponseOp { response: Some(api::Response::Range(range)) }) = answers.next() else {
            return Err(MetadataError::Unknown(format!("etcd's answer does not have the key {key}")));
        };
        let found = range.kvs.into_iter().next();
        reads.push(found.map(|kv| entry(prefix, kv)).transpose()?);
    }
    Ok(TransactionAnswer { applied: response.succeeded, revision, reads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_before_the_first_key_without_the_prefix() {
        for (prefix, end) in
            [(&b"/a/"[..], &b"/a0"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
        {
            assert_eq!(range_end(prefix), end);
        }
    }

    #[test]
    fn both_branches_read_and_nothing_is_decided_without_a_read() {
        let transaction = Transaction {
            compares: vec![Compare::Absent("a".into())],
            writes: vec![Write::Delete("b".into())],
            reads: vec!["c".into()],
            ..Transaction::default()
        };
        let sent = request("/p/", &transaction);
        assert_eq!((sent.success.len(), sent.failure.len()), (2, 1));
        assert_eq!(sent.success[1], sent.failure[0]);
        let absent = Some(api::TargetUnion::ModRevision(0));
        assert_eq!((&sent.compare[0].key[..], &sent.compare[0].target_union), (&b"/p/a"[..], &absent));
        let compares_only = Transaction { writes: vec![], reads: vec![], ..transaction };
        let sent = request("/p/", &compares_only);
        assert_eq!((sent.success.len(), sent.failure.len()), (1, 1));
    }
}
