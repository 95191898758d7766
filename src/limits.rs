//! Memory that requests may hold: reserved before a frame is read, given back when its answer is written
//! and its records are in a journal object.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of the process's memory for requests. Clones share it.
///
/// Writes may have to wait for a store that is down, for as long as it is. They never get all of the budget, so
/// that what needs no store is still read and answered.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    units_max: u32,
    write_units: Arc<Semaphore>,
    write_units_max: u32,
}

/// What memory is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request whose answer waits for the object store: seven eighths of the budget at most.
    Write,
    /// Any other.
    Other,
}

/// Bytes held from a [`MemoryBudget`] until dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    _units: OwnedSemaphorePermit,
    _write_units: Option<OwnedSemaphorePermit>,
}

impl MemoryPermit {
    /// All of them as one; they must be of one budget.
    #[must_use]
    pub fn merged(permits: Vec<MemoryPermit>) -> Option<MemoryPermit> {
        permits.into_iter().reduce(|mut all, one| {
            all._units.merge(one._units);
            match (&mut all._write_units, one._write_units) {
                (Some(units), Some(more)) => units.merge(more),
                (none, more) => *none = none.take().or(more),
            }
            all
        })
    }
}

/// Reservations are counted in units, so that a semaphore's 32-bit permits reach past 4 GiB.
const UNIT_BYTES: usize = 1024;

impl MemoryBudget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> MemoryBudget {
        let units_max = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX >> 3);
        let write_units_max = units_max - units_max / 8;
        MemoryBudget {
            units: Arc::new(Semaphore::new(units_max as usize)),
            units_max,
            write_units: Arc::new(Semaphore::new(write_units_max as usize)),
            write_units_max,
        }
    }

    /// Waits until `bytes` are free, in the order of asking, so that a big request is not passed over for
    /// ever. More than there is for the purpose is cut down to all that there is for it.
    pub async fn reserve(&self, bytes: usize, purpose: Purpose) -> MemoryPermit {
        let (units, write_units) = self.units_of(bytes, purpose);
        let write_units = match write_units {
            Some(units) => Some(acquire(&self.write_units, units).await),
            None => None,
        };
        MemoryPermit { _units: acquire(&self.units, units).await, _write_units: write_units }
    }

    /// Takes `bytes` if they are free now and nobody waits for theirs; the way that costs least.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize, purpose: Purpose) -> Option<MemoryPermit> {
        let (units, write_units) = self.units_of(bytes, purpose);
        let write_units = match write_units {
            Some(units) => Some(Arc::clone(&self.write_units).try_acquire_many_owned(units).ok()?),
            None => None,
        };
        let units = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(MemoryPermit { _units: units, _write_units: write_units })
    }

    /// Units of the whole budget, and of its share for writes if it is one.
    fn units_of(&self, bytes: usize, purpose: Purpose) -> (u32, Option<u32>) {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        match purpose {
            Purpose::Other => (units.min(self.units_max), None),
            Purpose::Write => (units.min(self.write_units_max), Some(units.min(self.write_units_max))),
        }
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

async fn acquire(units: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    Arc::clone(units).acquire_many_owned(count).await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests;
