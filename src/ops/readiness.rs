//! Whether this broker can serve, as one small shared value.

use arc_swap::ArcSwap;
use std::sync::Arc;

/// Ready, or the reason why not. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    reason: Arc<ArcSwap<Option<String>>>,
}

impl Readiness {
    /// Not ready, for a reason such as `starting`.
    #[must_use]
    pub fn not_ready(reason: &str) -> Readiness {
        Readiness { reason: Arc::new(ArcSwap::from_pointee(Some(reason.to_owned()))) }
    }

    /// From now on the broker serves.
    pub fn set_ready(&self) {
        self.reason.store(Arc::new(None));
    }

    /// From now on the broker cannot serve, and this is why.
    pub fn set_not_ready(&self, reason: &str) {
        self.reason.store(Arc::new(Some(reason.to_owned())));
    }

    /// Why the broker cannot serve; none when it can.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        Option::clone(&self.reason.load())
    }
}
