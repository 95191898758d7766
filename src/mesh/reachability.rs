//! What is known of a peer: whether it answers, is silent, or is gone. Pure: `now` comes in.
//!
//! Two witnesses. QUIC: our PINGs are answered by the peer's process, so silence tells of a stopped process, a machine without
//! power, or a cut line, and none of that for certain. The tell-tale, a TCP connection: a kernel closes it when the process ends,
//! so its end tells of a killed process, at once, and is silent about all the rest.
//!
//! A pause of our own process is not held against the peer: time in which nobody looked does not count as its silence.

use std::time::Duration;
use tokio::time::Instant;

/// Whether a peer's session can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It answers.
    Up,
    /// It has not answered since then; a peer that never did, since the handle was made.
    Silent {
        /// When something of it was last heard.
        since: Instant,
    },
    /// The kernel of its machine says that it has ended, or another session answers in its place.
    Gone {
        /// When that was learned.
        at: Instant,
    },
}

/// What the tell-tale says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellTale {
    /// It was never open, and connecting got no answer so far.
    Unknown,
    /// It is open.
    Open,
    /// It was open and has been closed; connecting again is on its way or gets no answer.
    Closed,
    /// Nobody listens at the address.
    Refused,
    /// Another session answers at the address: this one is over for ever.
    Replaced,
}

/// Both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The conclusion.
    pub reachability: Reachability,
    /// One of the witnesses.
    pub tell_tale: TellTale,
}

/// Concludes from what the witnesses say.
#[derive(Clone, Debug)]
pub struct Watchman {
    silence: Duration,
    late: Duration,
    heard_at: Instant,
    looked_at: Instant,
    sighting: Sighting,
}

impl Watchman {
    /// Nothing is known yet. A peer is silent after `silence`; looks that are further apart than `late` tell of a pause of
    /// our own.
    #[must_use]
    pub fn new(now: Instant, silence: Duration, late: Duration) -> Watchman {
        let sighting =
            Sighting { reachability: Reachability::Silent { since: now }, tell_tale: TellTale::Unknown };
        Watchman { silence, late, heard_at: now, looked_at: now, sighting }
    }

    /// What is known.
    #[must_use]
    pub fn sighting(&self) -> Sighting {
        self.sighting
    }

    /// The peer's process answered on QUIC.
    pub fn on_heard(&mut self, now: Instant) {
        self.heard_at = now;
        let believable = match self.sighting.reachability {
            Reachability::Up | Reachability::Silent { .. } => true,
            // An answer may have been on its way when the process ended; what comes so late was not.
            Reachability::Gone { at } => now.saturating_duration_since(at) >= self.silence,
        };
        if believable && self.sighting.tell_tale != TellTale::Replaced {
            self.sighting.reachability = Reachability::Up;
        }
    }

    /// To be called often, whether anything was heard or not.
    pub fn on_look(&mut self, now: Instant) {
        let pause = now.saturating_duration_since(self.looked_at);
        self.looked_at = now;
        if pause > self.late {
            self.heard_at = (self.heard_at + pause).min(now);
        }
        let unheard = now.saturating_duration_since(self.heard_at);
        if self.sighting.reachability == Reachability::Up && unheard >= self.silence {
            self.sighting.reachability = Reachability::Silent { since: self.heard_at };
        }
    }

    /// The tell-tale was made, and the session at its other end is the peer's.
    pub fn on_open(&mut self, now: Instant) {
        self.sighting.tell_tale = TellTale::Open;
        if matches!(self.sighting.reachability, Reachability::Gone { .. }) {
            let heard = now.saturating_duration_since(self.heard_at) < self.silence;
            self.sighting.reachability =
                if heard { Reachability::Up } else { Reachability::Silent { since: self.heard_at } };
        }
    }

    /// The tell-tale ended, or says why there is none.
    pub fn on_ended(&mut self, now: Instant, how: TellTale) {
        self.sighting.tell_tale = how;
        let is_gone = matches!(self.sighting.reachability, Reachability::Gone { .. });
        if !is_gone && matches!(how, TellTale::Closed | TellTale::Refused | TellTale::Replaced) {
            self.sighting.reachability = Reachability::Gone { at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reachability::{Gone, Silent, Up};
    use super::{TellTale, Watchman};
    use std::time::Duration;
    use tokio::time::Instant;

    const SILENCE: Duration = Duration::from_millis(400);
    const LATE: Duration = Duration::from_millis(200);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn watchman() -> (Watchman, Instant) {
        let start = Instant::now();
        (Watchman::new(start, SILENCE, LATE), start)
    }

    /// Looks every 50 milliseconds, from one moment to another.
    fn look(watchman: &mut Watchman, start: Instant, from: u64, to: u64) {
        for millis in (from..=to).step_by(50) {
            watchman.on_look(start + ms(millis));
        }
    }

    #[test]
    fn a_peer_is_silent_until_it_is_heard_and_again_when_it_is_not() {
        let (mut watchman, start) = watchman();
        assert_eq!(watchman.sighting().reachability, Silent { since: start });
        watchman.on_heard(start + ms(100));
        assert_eq!(watchman.sighting().reachability, Up);
        look(&mut watchman, start, 100, 450);
        assert_eq!(watchman.sighting().reachability, Up);
        watchman.on_look(start + ms(500));
        assert_eq!(watchman.sighting().reachability, Silent { since: start + ms(100) });
        watchman.on_heard(start + ms(600));
        assert_eq!(watchman.sighting().reachability, Up);
    }

    #[test]
    fn the_end_of_the_tell_tale_is_believed_at_once_and_late_packets_are_not() {
        let (mut watchman, start) = watchman();
        watchman.on_heard(start);
        watchman.on_open(start);
        watchman.on_ended(start + ms(10), TellTale::Closed);
        assert_eq!(watchman.sighting().reachability, Gone { at: start + ms(10) });
        watchman.on_heard(start + ms(11));
        watchman.on_ended(start + ms(12), TellTale::Refused);
        assert_eq!(watchman.sighting().reachability, Gone { at: start + ms(10) });
        assert_eq!(watchman.sighting().tell_tale, TellTale::Refused);
    }

    #[test]
    fn a_box_that_forgot_the_tell_tale_does_not_kill_who_goes_on_answering() {
        let (mut watchman, start) = watchman();
        watchman.on_open(start);
        watchman.on_ended(start + ms(10), TellTale::Closed);
        watchman.on_heard(start + ms(10) + SILENCE);
        assert_eq!(watchman.sighting().reachability, Up);
        watchman.on_ended(start + ms(1000), TellTale::Closed);
        watchman.on_open(start + ms(1001));
        assert_eq!(watchman.sighting().reachability, Silent { since: start + ms(10) + SILENCE });
    }

    #[test]
    fn a_replaced_session_never_comes_back() {
        let (mut watchman, start) = watchman();
        watchman.on_ended(start, TellTale::Replaced);
        watchman.on_heard(start + ms(5000));
        assert_eq!(watchman.sighting().reachability, Gone { at: start });
    }

    #[test]
    fn no_answer_to_connecting_is_not_an_end() {
        let (mut watchman, start) = watchman();
        watchman.on_heard(start);
        watchman.on_ended(start + ms(10), TellTale::Unknown);
        assert_eq!(watchman.sighting().reachability, Up);
    }

    #[test]
    fn a_pause_of_our_own_is_not_held_against_the_peer() {
        let (mut watchman, start) = watchman();
        watchman.on_heard(start);
        watchman.on_look(start + ms(50));
        // Nobody looked for ten seconds; then the peer has its time again.
        watchman.on_look(start + ms(10_050));
        assert_eq!(watchman.sighting().reachability, Up);
        look(&mut watchman, start, 10_100, 10_500);
        assert!(matches!(watchman.sighting().reachability, Silent { .. }));
    }
}
