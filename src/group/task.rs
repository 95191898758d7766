//! The task that owns one group under one term: it takes what is in the mailbox, stores what has changed, and answers. When
//! the term is closed it drops what it knows; whoever waits is told that another broker coordinates the group.

use super::call::{Call, Reply};
use super::classic::{Answer, JoinRefused, Joined, LeaveAnswer, Synced};
use super::consumer::ConsumerGroup;
use super::coordinator::{GroupsConfig, Shared};
use super::kept::{Core, KeepError, KeptGroup};
use super::{GroupError, GroupId, MemberId, Ticket, migrate};
use crate::hashing::HashMap;
use crate::meta::{SettleError, Term};
use crate::types::Moment;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// One group's task.
pub(super) struct GroupTask {
    pub(super) group_id: GroupId,
    pub(super) shared: Arc<Shared>,
    term: Term,
    pub(super) waiting: HashMap<Ticket, Waiting>,
    next_ticket: u64,
    /// Answers that go out once what has changed is stored.
    pub(super) after: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether one of them tells committed offsets: then the standing is confirmed first, since a coordinator of the past does
    /// not know what was committed after it.
    pub(super) tells_offsets: bool,
    /// Members of a share group that are in it no more: others may have their records once that is stored.
    pub(super) gone: Vec<MemberId>,
    /// Tells that the settings of some group have changed.
    settings_changes: watch::Receiver<u64>,
    /// Those of this group that the pace is reckoned with.
    paced: usize,
}

/// Who waits for a classic group's answer.
pub(super) enum Waiting {
    Join(Reply<Result<Joined, JoinRefused>>),
    Sync(Reply<Synced>),
    Heartbeat(Reply<()>),
    Leave(Reply<Vec<LeaveAnswer>>),
}

/// Requests that are looked at before the group is stored.
const BURST_MAX: usize = 256;
/// A group that nobody asks for anything ends its task after this.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// What woke the task.
enum Woken {
    By(Box<Call>),
    Topics,
    Time,
    Closed,
    /// The term was closed.
    Lost,
}

impl GroupTask {
    pub fn new(group_id: GroupId, shared: Arc<Shared>, term: Term) -> GroupTask {
        let settings_changes = shared.settings.changes();
        GroupTask {
            group_id,
            shared,
            term,
            settings_changes,
            paced: 0,
            waiting: HashMap::default(),
            next_ticket: 0,
            after: Vec::new(),
            tells_offsets: false,
            gone: Vec::new(),
        }
    }

    /// Runs until the group is quiet, or coordinated elsewhere, or the coordinator closes.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut kept = None;
        let mut topics = self.shared.topics.clone();
        let mut quiet_since = Instant::now();
        loop {
            let woken = self.wake(&mut calls, &mut topics, kept.as_ref(), quiet_since).await;
            if matches!(woken, Woken::Lost) {
                return self.abandon();
            }
            let group = match self.loaded(&mut kept).await {
                Ok(group) => group,
                Err(error) => {
                    tracing::error!(group = %self.group_id, %error, "a group cannot be read");
                    if let Woken::Closed = woken {
                        return;
                    }
                    // The call that woke it is dropped, which answers it; so are those behind it.
                    while calls.try_recv().is_ok() {}
                    if self.shared.mailboxes.retire(&self.group_id, &self.term, &calls) {
                        return;
                    }
                    continue;
                }
            };
            match woken {
                Woken::By(call) => {
                    quiet_since = Instant::now();
                    self.on_calls(group, *call, &mut calls);
                }
                Woken::Topics => self.on_topics_changed(group),
                Woken::Time | Woken::Lost => {}
                Woken::Closed => return self.close(group),
            }
            self.gone.extend(group.core.on_time(self.now()));
            self.downgrade_if_due(group);
            self.collect_answers(group);
            if let Err(error) = self.store(group).await {
                self.forget_answers(&error);
                kept = None;
            }
            self.keep_pace(kept.as_ref());
            let idle = kept.as_ref().is_none_or(|kept| kept.core.is_empty() && self.waiting.is_empty());
            if idle
                && quiet_since.elapsed() >= QUIET_MAX
                && self.shared.mailboxes.retire(&self.group_id, &self.term, &calls)
            {
                return;
            }
        }
    }

    async fn wake(
        &mut self,
        calls: &mut mpsc::Receiver<Call>,
        topics: &mut watch::Receiver<Arc<super::consumer::TopicsImage>>,
        kept: Option<&KeptGroup>,
        quiet_since: Instant,
    ) -> Woken {
        let deadline = kept.and_then(|kept| kept.core.next_deadline());
        let deadline = deadline.map_or(quiet_since + QUIET_MAX, |at| self.shared.origin + at.0);
        let cares_for_topics =
            kept.is_some_and(|kept| matches!(kept.core, Core::Consumer(_) | Core::Share(_)));
        let woken = async {
            tokio::select! {
                call = calls.recv() => call.map_or(Woken::Closed, |call| Woken::By(Box::new(call))),
                Ok(()) = topics.changed(), if cares_for_topics => Woken::Topics,
                () = tokio::time::sleep_until(deadline) => Woken::Time,
            }
        };
        tokio::select! {
            biased;
            () = self.term.closed() => Woken::Lost,
            woken = woken => woken,
        }
    }

    async fn loaded<'a>(&mut self, kept: &'a mut Option<KeptGroup>) -> Result<&'a mut KeptGroup, KeepError> {
        if kept.is_none() {
            let shared = &self.shared;
            let mut group =
                KeptGroup::load(shared.store.as_ref(), &self.group_id, &self.config(), self.now()).await?;
            self.on_topics_changed(&mut group);
            *kept = Some(group);
        }
        Ok(kept.as_mut().expect("it was just loaded"))
    }

    /// Takes the call that woke it, and those that came with it.
    fn on_calls(&mut self, group: &mut KeptGroup, first: Call, calls: &mut mpsc::Receiver<Call>) {
        self.follow_settings(group);
        self.on_call(group, first);
        self.collect_answers(group);
        for _ in 1..BURST_MAX {
            let Ok(call) = calls.try_recv() else { break };
            self.follow_settings(group);
            self.on_call(group, call);
            // At once: the next call may put another core in this one's place.
            self.collect_answers(group);
        }
    }

    /// The rules for this group: what may be set as it is set now.
    pub(super) fn config(&self) -> GroupsConfig {
        let settings = self.shared.settings.of(&self.group_id);
        let config = &self.shared.config;
        GroupsConfig {
            consumer: settings.consumer_group(&config.consumer),
            share: settings.share_group(&config.share),
            ..config.clone()
        }
    }

    /// Before each call: whoever was told that settings have changed finds that they hold. Nothing has to be woken for
    /// it, as what runs already keeps its deadline.
    fn follow_settings(&mut self, group: &mut KeptGroup) {
        if !self.settings_changes.has_changed().unwrap_or(false) {
            return;
        }
        self.settings_changes.mark_unchanged();
        match &mut group.core {
            Core::Classic(_) => {}
            Core::Consumer(consumers) => consumers.configure(self.config().consumer),
            Core::Share(share) => share.configure(self.config().share),
        }
    }

    fn keep_pace(&mut self, kept: Option<&KeptGroup>) {
        let now = kept.map_or(0, |kept| kept.core.paced_members());
        self.shared.paced.changed(std::mem::replace(&mut self.paced, now), now);
    }

    fn on_topics_changed(&self, group: &mut KeptGroup) {
        match &mut group.core {
            Core::Classic(_) => {}
            Core::Consumer(consumers) => {
                consumers.on_topics_changed(self.now(), &self.shared.topics.borrow());
            }
            Core::Share(share) => share.on_topics_changed(&self.shared.topics.borrow()),
        }
    }

    /// The answers of a classic group to those that wait for it.
    fn collect_answers(&mut self, group: &mut KeptGroup) {
        let Core::Classic(classic) = &mut group.core else { return };
        for (ticket, answer) in classic.take_answers() {
            let Some(waiting) = self.waiting.remove(&ticket) else { continue };
            self.after.push(Box::new(move || waiting.answer(answer)));
        }
    }

    async fn store(&mut self, group: &mut KeptGroup) -> Result<(), KeepError> {
        group.store(&self.shared.gatherer, &self.term, self.shared.clock.now()).await?;
        if std::mem::take(&mut self.tells_offsets) {
            self.shared.standing.confirm().await?;
        }
        // A session acknowledges the view that takes the group from it only after the term is closed. So no other
        // coordinator had begun when the requests came that are answered now.
        if !self.term.is_open() {
            return Err(SettleError::Closed.into());
        }
        self.after.drain(..).for_each(|answer| answer());
        for member_id in self.gone.drain(..) {
            self.shared.delivery.on_member_gone(&self.group_id, &member_id);
        }
        Ok(())
    }

    /// What was to be answered may not be stored: whoever waits is told to ask again.
    fn forget_answers(&mut self, error: &KeepError) {
        if self.term.is_open() {
            tracing::warn!(group = %self.group_id, %error, "a group could not be stored, it is read again");
        }
        self.after.clear();
        self.waiting.clear();
        self.tells_offsets = false;
        self.gone.clear();
    }

    /// The group is coordinated elsewhere: all answers are dropped, and those in the mailbox with it.
    fn abandon(mut self) {
        tracing::debug!(group = %self.group_id, "a group is coordinated elsewhere now");
        self.keep_pace(None);
        self.shared.mailboxes.abandon(&self.group_id, &self.term);
    }

    fn close(mut self, group: &mut KeptGroup) {
        if let Core::Classic(classic) = &mut group.core {
            classic.answer_all(&GroupError::NotCoordinator);
        }
        self.collect_answers(group);
        self.after.drain(..).for_each(|answer| answer());
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.shared.origin.elapsed())
    }

    /// A ticket for a request that a classic group answers later.
    pub(super) fn ticket(&mut self, waiting: Waiting) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Answers once what has changed is stored.
    pub(super) fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, GroupError>) {
        self.after.push(Box::new(move || reply.send(answer)));
    }

    /// An empty group of the consumer protocol becomes one of the classic protocol, for who joins by that.
    pub(super) fn make_classic_if_empty(&self, group: &mut KeptGroup) -> Result<(), GroupError> {
        if let Core::Consumer(consumers) = &group.core
            && consumers.is_empty()
        {
            let classic = migrate::downgrade_empty(consumers, &self.shared.config, self.now())?;
            group.replace_core(Core::Classic(Box::new(classic)));
        }
        Ok(())
    }

    /// The classic group goes on as that one of the consumer protocol; whoever waits is to join again there.
    pub(super) fn upgrade(&mut self, group: &mut KeptGroup, upgraded: ConsumerGroup) {
        if let Core::Classic(classic) = &mut group.core {
            classic.answer_all(&GroupError::RebalanceInProgress);
        }
        self.collect_answers(group);
        group.replace_core(Core::Consumer(Box::new(upgraded)));
        tracing::debug!(group = %self.group_id, "a group is of the consumer protocol now");
    }

    /// A group of the consumer protocol goes back once it has classic members only.
    fn downgrade_if_due(&self, group: &mut KeptGroup) {
        let Core::Consumer(consumers) = &group.core else { return };
        match migrate::downgrade(consumers, &self.shared.config, self.now()) {
            Some(Ok(classic)) => {
                group.replace_core(Core::Classic(Box::new(classic)));
                tracing::debug!(group = %self.group_id, "a group is of the classic protocol again");
            }
            Some(Err(error)) => {
                tracing::error!(group = %self.group_id, %error, "a group cannot go back to the classic protocol");
            }
            None => {}
        }
    }
}

impl Waiting {
    /// A ticket's answer is of the kind that was asked.
    fn answer(self, answer: Answer) {
        match (self, answer) {
            (Waiting::Join(reply), Answer::Join(answer)) => reply.send(Ok(answer)),
            (Waiting::Sync(reply), Answer::Sync(answer)) => reply.send(answer),
            (Waiting::Heartbeat(reply), Answer::Heartbeat(answer)) => reply.send(answer),
            (Waiting::Leave(reply), Answer::Leave(answer)) => reply.send(Ok(answer)),
            _ => unreachable!("a group answers what it was asked"),
        }
    }
}
