//! One watch: it follows a prefix over lost connections, from the revision after the last one it knows, and lists where
//! etcd no longer has the history.
//!
//! It knows a revision by the changes of that revision, or by a notice of progress, which etcd sends where nothing changes:
//! so a quiet prefix does not fall behind the compaction of history.
//!
//! A reader that is slow is waited for without the stream, as unread answers would take the room of the connection from
//! all other calls.

use super::api::{self, WatchCreateRequest, WatchResponse};
use super::call::{ATTEMPT_MAX, CALL_MAX, Client};
use super::connection::Connection;
use super::translate;
use crate::meta::{KeyChange, Revision, WatchEvent};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// After a watch that ended: doubled until one tells something.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A watch and what it has told.
pub(super) struct Watching {
    client: Arc<Client>,
    /// Without the cluster's prefix.
    prefix: String,
    /// All up to here was told.
    seen: Revision,
    /// The changes of one revision of which more may come: etcd sends what is long in pieces.
    gathered: Option<(Revision, Vec<KeyChange>)>,
    /// Events that the reader has no room for yet.
    backlog: VecDeque<WatchEvent>,
    pause: Duration,
}

/// Why one stream of events ended.
enum End {
    ReaderGone,
    ReaderSlow,
    Compacted,
    Lost(String),
}

impl Watching {
    pub(super) fn new(client: Arc<Client>, prefix: String, seen: Revision) -> Watching {
        Watching { client, prefix, seen, gathered: None, backlog: VecDeque::new(), pause: PAUSE_MIN }
    }

    /// Follows until the reader or the store is gone.
    pub(super) async fn run(mut self, events: mpsc::Sender<WatchEvent>) {
        while !self.client.closing.is_cancelled() {
            let connection = match self.client.connection(0, Instant::now() + CALL_MAX).await {
                Ok(connection) => connection,
                Err(why) => {
                    self.rest(&why).await;
                    continue;
                }
            };
            let closing = self.client.closing.clone();
            let end = tokio::select! {
                end = self.follow(&connection, &events) => end,
                () = closing.cancelled() => return,
            };
            self.gathered = None;
            match end {
                End::ReaderGone => return,
                End::ReaderSlow => {
                    while let Some(event) = self.backlog.pop_front() {
                        if events.send(event).await.is_err() {
                            return;
                        }
                    }
                }
                End::Compacted => match self.client.list(&self.prefix).await {
                    Ok(listing) => {
                        tracing::info!(
                            prefix = self.prefix,
                            "a watch was behind the history, and lists anew"
                        );
                        self.seen = listing.revision;
                        if events.send(WatchEvent::Listed(listing)).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => self.rest(&error.to_string()).await,
                },
                End::Lost(why) => self.rest(&why).await,
            }
        }
    }

    async fn rest(&mut self, why: &str) {
        tracing::debug!(prefix = self.prefix, why, "a watch goes on in a moment");
        self.client.pause(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    async fn follow(&mut self, connection: &Connection, events: &mpsc::Sender<WatchEvent>) -> End {
        let (mut told, mut answers) = match self.begin(connection).await {
            Ok(begun) => begun,
            Err(why) => return End::Lost(why),
        };
        loop {
            if told.canceled {
                let is_behind = told.compact_revision > 0;
                return if is_behind { End::Compacted } else { End::Lost(told.cancel_reason) };
            }
            let told_now = self.take(told);
            self.backlog.extend(told_now);
            while let Some(event) = self.backlog.pop_front() {
                self.pause = PAUSE_MIN;
                match events.try_send(event) {
                    Ok(()) => {}
                    Err(TrySendError::Closed(_)) => return End::ReaderGone,
                    Err(TrySendError::Full(event)) => {
                        self.backlog.push_front(event);
                        return End::ReaderSlow;
                    }
                }
            }
            told = match answers.message().await {
                Ok(Some(told)) => told,
                Ok(None) => return End::Lost("it was closed".to_owned()),
                Err(status) => return End::Lost(status.message().to_owned()),
            };
        }
    }

    async fn begin(
        &self,
        connection: &Connection,
    ) -> Result<(WatchResponse, Streaming<WatchResponse>), String> {
        let key = translate::full_key(&self.client.prefix, &self.prefix);
        let create = WatchCreateRequest {
            range_end: translate::range_end(&key),
            key,
            start_revision: translate::number(self.seen).saturating_add(1),
            progress_notify: true,
            fragment: true,
        };
        let begun: Result<Result<_, Status>, _> =
            tokio::time::timeout(ATTEMPT_MAX, connection.watch(create)).await;
        match begun {
            Ok(Ok(begun)) => Ok(begun),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_elapsed) => {
                self.client.give_up(connection.number);
                Err("no answer in time".to_owned())
            }
        }
    }

    /// What can be told after this answer: whole revisions.
    fn take(&mut self, told: WatchResponse) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        let is_progress = told.events.is_empty() && !told.created && !told.fragment;
        for event in told.events {
            self.gather(event, &mut events);
        }
        if !told.fragment {
            events.extend(self.gathered.take().map(|whole| self.event(whole)));
        }
        if is_progress {
            let until = told.header.as_ref().map_or(0, |header| header.revision);
            self.seen = self.seen.max(translate::revision(until));
        }
        events
    }

    fn gather(&mut self, event: api::Event, events: &mut Vec<WatchEvent>) {
        let (revision, change) = match translate::change(&self.client.prefix, event) {
            Ok(change) => change,
            Err(error) => {
                tracing::warn!(%error, prefix = self.prefix, "a watch passes over what is not ours");
                return;
            }
        };
        if revision <= self.seen {
            return;
        }
        match &mut self.gathered {
            Some((gathered, changes)) if *gathered == revision => changes.push(change),
            _ => {
                let whole = self.gathered.replace((revision, vec![change]));
                events.extend(whole.map(|whole| self.event(whole)));
            }
        }
    }

    fn event(&mut self, (revision, changes): (Revision, Vec<KeyChange>)) -> WatchEvent {
        self.seen = revision;
        WatchEvent::Changed { revision, changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::etcd::connection::State;
    use tokio_util::sync::CancellationToken;

    fn watching(seen: u64) -> Watching {
        let (_, state) = tokio::sync::watch::channel(State::default());
        let (report, _) = tokio::sync::watch::channel(0);
        let client = Client::new("/p/".to_owned(), CancellationToken::new(), state, report);
        Watching::new(Arc::new(client), "a/".to_owned(), Revision(seen))
    }

    fn put(key: &str, mod_revision: i64) -> api::Event {
        let key = format!("/p/a/{key}").into();
        api::Event { kind: 0, kv: Some(api::KeyValue { key, mod_revision, value: "v".into() }) }
    }

    fn told(events: Vec<api::Event>, fragment: bool) -> WatchResponse {
        WatchResponse { events, fragment, ..WatchResponse::default() }
    }

    fn keys(events: &[WatchEvent]) -> Vec<(u64, Vec<&str>)> {
        let of = |event: &'_ WatchEvent| match event {
            WatchEvent::Listed(_) => panic!("nothing was listed"),
            WatchEvent::Changed { revision, .. } => revision.0,
        };
        let changed = |event| match event {
            WatchEvent::Changed { changes, .. } => changes,
            WatchEvent::Listed(_) => panic!("nothing was listed"),
        };
        events
            .iter()
            .map(|event| (of(event), changed(event.clone())))
            .map(|(revision, changes): (u64, Vec<KeyChange>)| {
                let key = |change: &KeyChange| match change.key() {
                    "a/x" => "x",
                    "a/y" => "y",
                    _ => "?",
                };
                (revision, changes.iter().map(key).collect())
            })
            .collect()
    }

    #[test]
    fn a_revision_is_told_whole_although_it_comes_in_pieces() {
        let mut watch = watching(4);
        assert_eq!(keys(&watch.take(told(vec![put("x", 5), put("x", 6)], true))), [(5, vec!["x"])]);
        assert_eq!(watch.seen, Revision(5));
        assert_eq!(keys(&watch.take(told(vec![put("y", 6)], false))), [(6, vec!["x", "y"])]);
        assert_eq!(watch.seen, Revision(6));
    }

    #[test]
    fn progress_moves_on_what_is_seen_and_nothing_is_told_twice() {
        let mut watch = watching(4);
        let at = |revision| Some(api::ResponseHeader { revision });
        let created = WatchResponse { created: true, header: at(90), ..WatchResponse::default() };
        assert!(watch.take(created).is_empty());
        assert_eq!(watch.seen, Revision(4), "made is not told");
        assert!(watch.take(WatchResponse { header: at(9), ..WatchResponse::default() }).is_empty());
        assert_eq!(watch.seen, Revision(9));
        assert!(watch.take(told(vec![put("x", 9)], false)).is_empty());
    }
}
