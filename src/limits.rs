//! Memory that requests may hold: reserved before a frame is read, given back when its answer is written
//! and its records are in a journal object.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of the process's memory for requests. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Bytes held from a [`MemoryBudget`] until dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    _units: OwnedSemaphorePermit,
}

/// Reservations are counted in units, so that a semaphore's 32-bit permits reach past 4 GiB.
const UNIT_BYTES: usize = 1024;

impl MemoryBudget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> MemoryBudget {
        let units_max = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX >> 3);
        MemoryBudget { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// Waits until `bytes` are free, in the order of asking, so that a big request is not passed over for
    /// ever. More than the whole budget is cut down to the whole budget.
    pub async fn reserve(&self, bytes: usize) -> MemoryPermit {
        let units = Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes)).await;
        MemoryPermit { _units: units.expect("the semaphore is never closed") }
    }

    /// Takes `bytes` if they are free now and nobody waits for theirs; the way that costs least.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<MemoryPermit> {
        let units = self.units_of(bytes);
        let units = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(MemoryPermit { _units: units })
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max)
    }

    /// Bytes not held by anyone.
    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.units.available_permits() * UNIT_BYTES
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.units_max as usize * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests;
