//! Share sessions of the broker: whose connection ends, or who leaves its group, loses what it has.

use super::ShareDelivery;
use crate::group::remote::ShareRequest;
use crate::group::share::{
    Attempt, ShareClient, ShareFetchContext, ShareSessionChange, ShareSessionFault, ShareSessionKey,
};
use crate::group::{GroupId, MemberId};
use crate::types::TopicPartition;
use std::sync::Arc;

impl ShareDelivery {
    /// What a ShareFetch is to do. A session that had to make room for another loses its records.
    pub fn on_fetch(
        &self,
        client: &ShareClient,
        change: &ShareSessionChange,
    ) -> Result<ShareFetchContext, ShareSessionFault> {
        let now = self.shared.now();
        let context = self.shared.sessions.lock().fetch(now, client, change)?;
        if let ShareFetchContext::Fetch { evicted: Some((key, partitions)), .. } = &context {
            self.begin_release(key.clone(), partitions.clone());
        }
        Ok(context)
    }

    /// Counts a ShareAcknowledge; with the last epoch it closes the session, and gives the partitions to release.
    pub fn on_acknowledge(
        &self,
        client: &ShareClient,
        session_epoch: i32,
    ) -> Result<Option<Vec<TopicPartition>>, ShareSessionFault> {
        let now = self.shared.now();
        self.shared.sessions.lock().acknowledge(now, client, session_epoch)
    }

    /// Whether the member still has its session with this connection. One that lost it while records were fetched for
    /// it must not keep them.
    #[must_use]
    pub fn has_session(&self, client: &ShareClient) -> bool {
        self.shared.sessions.lock().holds(client)
    }

    /// A connection has ended, and with it the sessions of its members: they may have died with what they had.
    pub fn on_disconnect(&self, connection_id: u64) {
        let closed = self.shared.sessions.lock().close_connection(connection_id);
        for (key, partitions) in closed {
            self.begin_release(key, partitions);
        }
    }

    /// A member has left its group or was silent for too long, as the group's coordinator tells all that lead partitions.
    /// Who does not hear it has the locks on the member's records run out.
    pub fn on_member_gone(&self, group_id: &GroupId, member_id: &MemberId) {
        self.on_member_gone_here(group_id, member_id);
        let (image, own) = (self.shared.leadership.image(), self.shared.leadership.own());
        for session in image.members().iter().map(|member| member.session).filter(|session| *session != own) {
            let gone = ShareRequest::MemberGone(group_id.clone(), member_id.clone());
            let remote = Arc::clone(&self.shared.remote);
            tokio::spawn(async move { gone.ask(remote.as_ref(), session).await });
        }
    }

    /// The same for the partitions that this session leads.
    pub(in crate::group) fn on_member_gone_here(&self, group_id: &GroupId, member_id: &MemberId) {
        let key = (group_id.clone(), member_id.clone());
        let closed = self.shared.sessions.lock().close(&key);
        if let Some(partitions) = closed {
            self.begin_release(key, partitions);
        }
    }

    fn begin_release(&self, key: ShareSessionKey, partitions: Vec<TopicPartition>) {
        let delivery = self.clone();
        tokio::spawn(async move { delivery.release(&key, partitions, Attempt::Counts).await });
    }
}
