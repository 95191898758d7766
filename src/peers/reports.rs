//! Tells the others whom this session cannot reach, and takes what they tell.
//!
//! ```text
//! report   u8 version (1), u64 number (of this reporter's reports, growing), u16 sessions, their ids of 16 bytes
//! answer   nothing
//! ```
//! Bytes of another form are answered as not served. A report that does not arrive in a moment is not sent again: the next
//! one says more.

use super::connections::{Peers, Sightings};
use super::private::{PrivateApi, ServePrivate};
use crate::mesh::{MeshName, Reachability};
use crate::types::SessionId;
use crate::views::Reports;
use bytes::{Buf, BufMut, Bytes};
use futures_util::future::{BoxFuture, join_all};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const VERSION: u8 = 1;
/// Sessions in one report at most. Who cannot reach more is the one that is cut off.
const SESSIONS_MAX: usize = 1_000;
/// Others that are told at most: one that agrees is enough.
const TOLD_MAX: usize = 64;
/// What takes longer says what was.
const TELL_TIME_MAX: Duration = Duration::from_millis(250);

impl Peers {
    /// Tells the others what `reports` says, until it ends. Must be called within a runtime.
    pub fn report(&self, reports: &Reports) {
        let (peers, mut own) = (self.clone(), reports.own());
        tokio::spawn(async move {
            let mut number = 0;
            while own.changed().await.is_ok() {
                let unreachable = own.borrow_and_update().clone();
                number += 1;
                peers.tell(number, &unreachable).await;
            }
        });
    }

    /// One report, to those that can be reached.
    async fn tell(&self, number: u64, unreachable: &BTreeSet<SessionId>) {
        let report = encode(number, unreachable);
        let deadline = Instant::now() + TELL_TIME_MAX;
        let told = whom_to_tell(&self.sightings().borrow(), unreachable);
        tracing::debug!(?unreachable, told = told.len(), "whom this broker cannot reach");
        let answers = told.into_iter().map(|to| self.ask(to, PrivateApi::Reports, &report, deadline));
        for error in join_all(answers).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a report may not have arrived");
        }
    }
}

fn whom_to_tell(sightings: &Sightings, unreachable: &BTreeSet<SessionId>) -> Vec<SessionId> {
    let up = sightings.iter().filter(|(_, seen)| seen.reachability == Reachability::Up);
    let up = up.map(|(session, _)| *session).filter(|session| !unreachable.contains(session));
    up.take(TOLD_MAX).collect()
}

impl ServePrivate for Reports {
    fn serve(&self, from: MeshName, request: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let told = decode(request).map(|(number, unreachable)| {
            self.on_told(from.session, number, unreachable);
            Bytes::new()
        });
        Box::pin(std::future::ready(told))
    }
}

pub(super) fn encode(number: u64, unreachable: &BTreeSet<SessionId>) -> Vec<u8> {
    let count = unreachable.len().min(SESSIONS_MAX);
    let mut to = vec![VERSION];
    to.put_u64(number);
    to.put_u16(u16::try_from(count).expect("at most a thousand"));
    unreachable.iter().take(count).for_each(|session| to.put_u128(session.0.as_u128()));
    to
}

/// None for bytes of another form.
pub(super) fn decode(mut from: Bytes) -> Option<(u64, BTreeSet<SessionId>)> {
    if from.try_get_u8().ok()? != VERSION {
        return None;
    }
    let number = from.try_get_u64().ok()?;
    let count = usize::from(from.try_get_u16().ok()?);
    if count > SESSIONS_MAX || from.len() != count * size_of::<u128>() {
        return None;
    }
    let session = |_| from.try_get_u128().ok().map(|id| SessionId(Uuid::from_u128(id)));
    let sessions = (0..count).map(session).collect::<Option<_>>()?;
    Some((number, sessions))
}

#[cfg(test)]
mod tests {
    use super::{SESSIONS_MAX, VERSION, decode, encode};
    use crate::types::SessionId;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    fn sessions(ids: impl IntoIterator<Item = u128>) -> BTreeSet<SessionId> {
        ids.into_iter().map(|id| SessionId(Uuid::from_u128(id))).collect()
    }

    #[test]
    fn a_report_has_these_bytes() {
        let report = encode(2, &sessions([3]));
        assert_eq!(report, [&[VERSION, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1][..], &3_u128.to_be_bytes()].concat());
        assert_eq!(decode(report[..26].to_vec().into()), None);
        assert_eq!(decode([&report[..], b"!"].concat().into()), None);
        assert_eq!(decode([&[9], &report[1..]].concat().into()), None);
    }

    #[test]
    fn a_report_has_a_maximum() {
        let all = sessions(0..2_000);
        let (_, told) = decode(encode(1, &all).into()).expect("its own bytes");
        assert_eq!(told.len(), SESSIONS_MAX);
        let more = [&[VERSION, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff][..], &[0; 16 * 0xffff]].concat();
        assert_eq!(decode(more.into()), None);
    }

    proptest! {
        #[test]
        fn what_is_told_is_heard(number: u64, ids in proptest::collection::btree_set(any::<u128>(), 0..20)) {
            let all = sessions(ids);
            prop_assert_eq!(decode(encode(number, &all).into()), Some((number, all)));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let read = decode(Bytes::from(bytes.clone()));
            if let Some((number, sessions)) = read {
                prop_assert_eq!(decode(encode(number, &sessions).into()), Some((number, sessions)));
            }
        }
    }
}
