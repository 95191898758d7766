//! What is known of one peer, and which reasons to seal it come of that, each with the moment from which it holds.

use super::{SuspicionSettings, TellTale, Why};
use crate::types::{BrokerId, Moment, SessionId, ViewNumber};
use std::collections::BTreeMap;
use std::time::Duration;

/// One session of another broker.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) broker_id: BrokerId,
    /// When it was last heard of; at first when it became a peer.
    heard: Moment,
    /// Whether it ever was: connections take a moment to be made.
    was_heard: bool,
    /// Whether the tell-tale was ever open: a firewall that refuses says nothing about a process.
    was_connected: bool,
    /// When the tell-tale was refused, after it had been open.
    refused: Option<Moment>,
    /// When its lease ran out.
    pub(super) lease_lost: Option<Moment>,
    /// The newest view it has acknowledged, as far as is known.
    acked: ViewNumber,
    /// Since when barriers of this session wait for it, and it acknowledges nothing.
    pub(super) waited_for: Option<Moment>,
    /// When it was seen that it no longer stands.
    pub(super) fell: Option<Moment>,
    /// Who calls it unreachable.
    reports: BTreeMap<SessionId, Report>,
    /// The number of the last report that came from it.
    told: Option<u64>,
}

/// The word of another broker, given again and again.
#[derive(Clone, Copy, Debug)]
struct Report {
    first: Moment,
    last: Moment,
}

/// Reports about one peer that are kept: one that is heard is enough.
const REPORTS_MAX: usize = 8;

/// What this session knows besides.
pub(super) struct Judge<'a> {
    pub(super) settings: SuspicionSettings,
    pub(super) stores: OwnStores,
    pub(super) leased: Option<Moment>,
    /// Whether another session can be heard here.
    pub(super) is_heard: Box<dyn Fn(SessionId, Moment) -> bool + 'a>,
}

/// Reasons that hold, or will if nothing is heard before.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    pub(super) due: Vec<(Moment, Why)>,
    /// It seems slow, and how fast the stores are is not known here.
    pub(super) wants_probe: bool,
}

impl Peer {
    pub(super) fn new(broker_id: BrokerId, now: Moment) -> Peer {
        Peer {
            broker_id,
            heard: now,
            was_heard: false,
            was_connected: false,
            refused: None,
            lease_lost: None,
            acked: ViewNumber(0),
            waited_for: None,
            fell: None,
            reports: BTreeMap::new(),
            told: None,
        }
    }

    pub(super) fn on_heard(&mut self, now: Moment) {
        self.heard = self.heard.max(now);
        self.was_heard = true;
    }

    /// What was taken for heard since then was not.
    pub(super) fn on_silent(&mut self, since: Moment) {
        if self.was_heard {
            self.heard = self.heard.min(since);
        }
    }

    /// Whether a report of it is news: one that was overtaken is none.
    pub(super) fn on_told(&mut self, number: u64) -> bool {
        let is_news = self.told.is_none_or(|told| told < number);
        if is_news {
            self.told = Some(number);
        }
        is_news
    }

    pub(super) fn on_tell_tale(&mut self, tell_tale: TellTale, now: Moment) {
        match tell_tale {
            TellTale::Open => (self.was_connected, self.refused) = (true, None),
            TellTale::Refused if self.was_connected => _ = self.refused.get_or_insert(now),
            TellTale::Refused | TellTale::Silent => {}
        }
    }

    /// One that acknowledges view after view, each too late for the next, is not stuck.
    pub(super) fn on_acked(&mut self, acked: ViewNumber, now: Moment) {
        if acked > self.acked {
            self.acked = acked;
            self.waited_for = self.waited_for.map(|_| now);
        }
    }

    pub(super) fn on_report(&mut self, from: SessionId, settings: &SuspicionSettings, now: Moment) {
        self.reports.retain(|_, report| now.since(report.last) <= settings.report_age);
        if let Some(report) = self.reports.get_mut(&from) {
            report.last = now;
        } else if self.reports.len() < REPORTS_MAX {
            self.reports.insert(from, Report { first: now, last: now });
        }
    }

    /// It can reach it, or says nothing of it.
    pub(super) fn on_no_report(&mut self, from: SessionId) {
        self.reports.remove(&from);
    }

    /// From when on it is unreachable.
    pub(super) fn silent_from(&self, settings: &SuspicionSettings) -> Moment {
        self.heard
            + if self.was_heard { settings.silence } else { settings.introduction.max(settings.silence) }
    }

    /// From when on its process is gone: what was under way when the connection broke may be heard a moment after.
    fn gone_from(&self, settings: &SuspicionSettings) -> Option<Moment> {
        let refused = self.refused?;
        Some(if self.heard <= refused { refused } else { self.heard + 2 * settings.keep_alive })
    }

    pub(super) fn is_unreachable(&self, settings: &SuspicionSettings, now: Moment) -> bool {
        let is_gone = self.gone_from(settings).is_some_and(|at| at <= now);
        is_gone || self.silent_from(settings) <= now
    }

    /// Whether it cannot be relied upon to act.
    pub(super) fn is_suspect(&self, settings: &SuspicionSettings, now: Moment) -> bool {
        self.fell.is_some() || self.lease_lost.is_some() || self.is_unreachable(settings, now)
    }

    pub(super) fn reasons(&self, judge: &Judge<'_>, now: Moment) -> Reasons {
        let settings = &judge.settings;
        let mut reasons = Reasons::default();
        let due = &mut reasons.due;
        due.extend(self.gone_from(settings).map(|at| (at, Why::Gone)));
        if let (Some(lost), Some(leased)) = (self.lease_lost, judge.leased) {
            due.push((lost.max(leased) + settings.lease_grace, Why::LeaseLost));
        }
        let silent_from = self.silent_from(settings);
        let counts = |&(&from, report): &(&SessionId, &Report)| {
            now.since(report.last) <= settings.report_age && (judge.is_heard)(from, now)
        };
        let report = self.reports.iter().filter(counts).min_by_key(|(_, report)| report.first);
        due.extend(report.map(|(&from, report)| (silent_from.max(report.first), Why::Agreed(from))));
        if let Some(since) = self.waited_for {
            due.push((silent_from.max(since + settings.silence), Why::WaitedFor));
            match judge.stores.needs(settings, now) {
                Some(needs) => due.push((since + settings.patience.max(needs), Why::Slow)),
                None => reasons.wants_probe = now >= since + settings.patience / 2,
            }
        }
        reasons
    }
}

/// How long an operation took, and when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    ended: Moment,
    took: Duration,
}

impl Took {
    pub(super) fn new(begun: Moment, ended: Moment) -> Took {
        Took { ended, took: ended.since(begun) }
    }

    /// An operation that should have followed by now has not: the last one says nothing any more.
    fn is_old(&self, settings: &SuspicionSettings, now: Moment) -> bool {
        now.since(self.ended) > (settings.patience / 3).max(2 * self.took)
    }
}

/// The last PUT and the last commit of this session, if they succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnStores {
    pub(super) put: Option<Took>,
    pub(super) commit: Option<Took>,
}

impl OwnStores {
    /// How long one may take that has to put and to commit, generously; none if that is not known now.
    fn needs(&self, settings: &SuspicionSettings, now: Moment) -> Option<Duration> {
        let both = [self.put?, self.commit?];
        let is_known = both.iter().all(|took| !took.is_old(settings, now));
        is_known.then(|| 4 * (both[0].took + both[1].took))
    }
}
