//! Keeps this session's lease: a key that goes when the process no longer renews it.

use crate::meta::keys::alive;
use crate::meta::{MetadataError, MetadataStore, Standing, Transaction, Write};
use crate::types::SessionId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the key outlives its last renewal.
const LEASE_TTL: Duration = Duration::from_secs(3);
/// Between attempts to get a lease.
const PAUSE: Duration = Duration::from_millis(250);

/// Keeps it until the session is over. `held` tells whether it is there.
pub(super) async fn keep(
    metadata: Arc<dyn MetadataStore>,
    standing: Standing,
    session: SessionId,
    held: watch::Sender<bool>,
) {
    let work = async {
        loop {
            match lease(metadata.as_ref(), &standing, session).await {
                Ok(lease) => {
                    held.send_replace(true);
                    lease.lost().await;
                    held.send_replace(false);
                    tracing::warn!(%session, "the lease of this session ran out, it takes another");
                }
                Err(error) => {
                    tracing::debug!(%error, "no lease yet");
                    // The session's end is awaited beside it.
                    let _elapsed = tokio::time::timeout(PAUSE, standing.lost()).await;
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = standing.lost() => {}
    }
}

async fn lease(
    metadata: &dyn MetadataStore,
    standing: &Standing,
    session: SessionId,
) -> Result<crate::meta::Lease, MetadataError> {
    let lease = metadata.lease(LEASE_TTL).await?;
    loop {
        let transaction = Transaction {
            compares: vec![standing.compare()],
            writes: vec![Write::PutLeased(alive::key(session), bytes::Bytes::new(), lease.id())],
            reads: vec![standing.key().to_owned()],
            ..Transaction::default()
        };
        let answer = metadata.transact(transaction).await?;
        if answer.applied {
            return Ok(lease);
        }
        // It was rewritten meanwhile, or the session is over.
        let own = answer.reads.into_iter().next().flatten();
        if standing.judge(own.as_ref()).is_err() {
            return Err(MetadataError::Refused("this session no longer stands".to_owned()));
        }
        if let Some(own) = own {
            standing.on_rewritten(own.mod_revision);
        }
    }
}
