//! Which journals of ended sessions are kept here: those whose undertaker this session is in the newest view.
//!
//! One is claimed at a time, beside the rounds; see [`crate::archive::keeping`]. Between two of its works the archiver begins to
//! count what is needed of it. When the view says otherwise, or somebody else has written its key, that ends.

use super::Rounds;
use crate::archive::error::ArchiveError;
use crate::archive::keeping::{Claimed, Undertaker};
use crate::archive::upkeep::JOB_TIMEOUT;
use crate::cluster::PlacementKey;
use crate::hashing::HashMap;
use crate::leadership::{Leader, ViewImage};
use crate::types::{Moment, SessionId, ViewNumber};
use std::collections::VecDeque;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// What is known of journals that are kept, or are to be.
pub(super) struct Keeping {
    /// A session's end is forgotten when it was kept for so long: what a crash left of it has gone.
    swept_after: Duration,
    /// The view that the list below was made in.
    view: Option<ViewNumber>,
    /// When ended journals are looked for again, if the view stays.
    look_at: Moment,
    /// Those that are to be claimed, and when the first of them is.
    wanted: VecDeque<SessionId>,
    claim_at: Moment,
    claiming: Option<Claiming>,
    kept: HashMap<SessionId, Kept>,
}

struct Claiming {
    session: SessionId,
    view: ViewNumber,
    handle: AbortOnDropHandle<Result<Option<Claimed>, ArchiveError>>,
}

/// A journal that was claimed.
struct Kept {
    /// The view in which this session is its undertaker: nobody else is in that one.
    view: ViewNumber,
    since: Moment,
}

/// How often ended journals are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a new view those come first who take partitions over.
const AFTER_A_VIEW: Duration = Duration::from_secs(3);
/// How long a journal is left alone that could not be claimed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

impl Keeping {
    /// A session begins. What crashes leave lies in graveyards for `grace`.
    pub fn new(grace: Duration) -> Keeping {
        Keeping {
            swept_after: grace * 2,
            view: None,
            look_at: Moment::default(),
            wanted: VecDeque::new(),
            claim_at: Moment(AFTER_A_VIEW),
            claiming: None,
            kept: HashMap::default(),
        }
    }

    /// The view in which this session came to keep a journal.
    pub fn view_of(&self, session: SessionId) -> Option<ViewNumber> {
        self.kept.get(&session).map(|kept| kept.view)
    }

    /// Whether what crashes left of a journal has gone.
    pub fn is_swept(&self, session: SessionId, now: Moment) -> bool {
        self.kept.get(&session).is_some_and(|kept| now >= kept.since + self.swept_after)
    }

    pub fn forget(&mut self, session: SessionId) {
        self.kept.remove(&session);
    }
}

impl Rounds {
    /// Begins to keep journals, and stops, as the view says.
    pub(super) async fn keep_journals(&mut self) {
        for session in self.journals.taken_away() {
            tracing::info!(%session, "an ended journal is kept by another broker");
            self.stop_keeping(session);
            self.keeping.look_at = self.keeping.look_at.min(self.now() + FAILED_PAUSE);
        }
        let (now, view) = (self.now(), self.start.leadership.image().number());
        if self.keeping.view != Some(view) || now >= self.keeping.look_at {
            self.look_for_ended(now, view).await;
        }
        self.on_claimed().await;
        if self.keeping.claiming.is_none() && now >= self.keeping.claim_at {
            self.begin_claim();
        }
    }

    async fn look_for_ended(&mut self, now: Moment, view: ViewNumber) {
        if self.keeping.view.is_some_and(|before| before != view) {
            self.keeping.claim_at = now + AFTER_A_VIEW;
        }
        self.keeping.look_at = now + LOOK_EVERY;
        match self.undertaker().ended().await {
            Ok(ended) => {
                self.keeping.view = Some(view);
                self.on_ended_journals(ended);
            }
            Err(error) => {
                tracing::debug!(%error, "which sessions have ended is not known yet");
                self.keeping.look_at = now + FAILED_PAUSE;
            }
        }
    }

    fn on_ended_journals(&mut self, ended: Vec<SessionId>) {
        let image = self.start.leadership.image();
        let (own, others) = ended.into_iter().partition::<Vec<_>, _>(|session| is_ours(&image, *session));
        for session in others {
            if self.start.log.needs().is_kept(session) {
                tracing::debug!(%session, "another broker is to keep an ended journal");
                self.stop_keeping(session);
            }
        }
        let claiming = self.keeping.claiming.take_if(|claiming| !is_ours(&image, claiming.session));
        drop(claiming);
        let under_way = self.keeping.claiming.as_ref().map(|claiming| claiming.session);
        let is_wanted = |session: &SessionId| {
            *session != self.start.session
                && Some(*session) != under_way
                && !self.start.log.needs().is_kept(*session)
        };
        self.keeping.wanted = own.into_iter().filter(is_wanted).collect();
    }

    fn stop_keeping(&mut self, session: SessionId) {
        self.start.log.forget_journal(session);
        self.break_off_merge(session);
        // The metadata has given these up, whoever keeps the rest.
        let given_up = self.journals.end(session);
        self.graveyard.bury(self.now(), given_up);
        self.keeping.forget(session);
    }

    fn begin_claim(&mut self) {
        let Some(session) = self.keeping.wanted.pop_front() else { return };
        let image = self.start.leadership.image();
        if !is_ours(&image, session) {
            return;
        }
        let view = image.number();
        let undertaker = self.undertaker();
        let work = async move {
            let claim = undertaker.claim(session);
            tokio::time::timeout(JOB_TIMEOUT, claim).await.unwrap_or(Err(ArchiveError::TimedOut))
        };
        let handle = AbortOnDropHandle::new(tokio::spawn(work));
        self.keeping.claiming = Some(Claiming { session, view, handle });
    }

    async fn on_claimed(&mut self) {
        let Some(claiming) = self.keeping.claiming.take_if(|claiming| claiming.handle.is_finished()) else {
            return;
        };
        let Claiming { session, view, handle } = claiming;
        match handle.await.unwrap_or(Err(ArchiveError::Closed)) {
            Ok(Some(claimed)) => self.begin_keeping(claimed, view),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%session, %error, "an ended journal could not be taken into keeping, it is tried again");
                self.keeping.look_at = self.keeping.look_at.min(self.now() + FAILED_PAUSE);
            }
        }
    }

    fn begin_keeping(&mut self, claimed: Claimed, view: ViewNumber) {
        let (session, objects) = (claimed.session(), claimed.objects());
        let Claimed { journal, start, revision, litter } = claimed;
        if !is_ours(&self.start.leadership.image(), session) {
            return;
        }
        tracing::info!(%session, objects, litter = litter.len(), "an ended journal is kept here from now on");
        self.journals.begin(session, start, revision);
        for misfit in self.start.log.keep(journal) {
            tracing::error!(topic = %misfit.topic_id, partition = misfit.partition.0, %session,
                "an ended journal does not have what was read of it before");
        }
        self.graveyard.bury(self.now(), litter);
        self.keeping.kept.insert(session, Kept { view, since: self.now() });
        self.left.look_again();
    }

    fn undertaker(&self) -> Undertaker {
        Undertaker { standing: self.start.standing.clone(), store: self.start.store.clone() }
    }
}

/// Whether this session is an ended one's undertaker. Not in a view that still has that session: merges are numbered by the
/// view, and those of its own have that number.
fn is_ours(image: &ViewImage, session: SessionId) -> bool {
    let is_member = image.members().iter().any(|member| member.session == session);
    !is_member && image.leader(PlacementKey::undertaker(session)) == Leader::Own
}
