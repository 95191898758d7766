//! Keys, revisions, history and leases, without time of their own.

use bytes::Bytes;
use cenote::meta::{
    Compare, Entry, KeyChange, LeaseId, Listing, MetadataError, Revision, Transaction, TransactionAnswer,
    WatchEvent, Write,
};
use std::collections::{BTreeMap, VecDeque};

#[derive(Default)]
pub struct State {
    pub revision: u64,
    keys: BTreeMap<String, Key>,
    /// What each revision did, as far as it is known.
    history: VecDeque<(u64, Vec<KeyChange>)>,
    /// History up to here is forgotten.
    compacted: u64,
    leases: BTreeMap<i64, Granted>,
    last_lease: i64,
}

struct Key {
    value: Bytes,
    revision: u64,
    lease: Option<LeaseId>,
}

struct Granted {
    ttl: u64,
    until: u64,
}

impl State {
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.keys.get(key).map(|found| entry(key, found))
    }

    pub fn list(&self, prefix: &str) -> Listing {
        let below = self.keys.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let entries = below.map(|(key, found)| entry(key, found)).collect();
        Listing { entries, revision: Revision(self.revision) }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let found = self.keys.get(compare.key()).map(|key| key.revision);
        match compare {
            Compare::Absent(_) => found.is_none(),
            Compare::Unchanged(_, revision) => found == Some(revision.0),
        }
    }

    pub fn transact(&mut self, transaction: Transaction) -> Result<TransactionAnswer, MetadataError> {
        let applied = transaction.compares.iter().all(|compare| self.holds(compare));
        if applied {
            for write in &transaction.writes {
                if let Write::PutLeased(key, _, lease) = write
                    && !self.leases.contains_key(&lease.0)
                {
                    return Err(MetadataError::Refused(format!("the lease of key {key} is over")));
                }
            }
            self.write(transaction.writes);
        }
        let reads = transaction.reads.iter().map(|key| self.get(key)).collect();
        Ok(TransactionAnswer { applied, revision: Revision(self.revision), reads })
    }

    fn write(&mut self, writes: Vec<Write>) {
        let next = self.revision + 1;
        let mut changes = Vec::new();
        for write in writes {
            let (key, value, lease) = match write {
                Write::Put(key, value) => (key, value, None),
                Write::PutLeased(key, value, lease) => (key, value, Some(lease)),
                Write::Delete(key) => {
                    if self.keys.remove(&key).is_some() {
                        changes.push(KeyChange::Deleted(key));
                    }
                    continue;
                }
            };
            let stored = Key { value, revision: next, lease };
            changes.push(KeyChange::Put(entry(&key, &stored)));
            self.keys.insert(key, stored);
        }
        if !changes.is_empty() {
            self.revision = next;
            self.history.push_back((next, changes));
        }
    }

    /// What a watch that has seen all up to `seen` is told, and what it has seen then.
    pub fn changes(&self, prefix: &str, seen: u64) -> (Vec<WatchEvent>, u64) {
        if seen < self.compacted {
            return (vec![WatchEvent::Listed(self.list(prefix))], self.revision);
        }
        let mut told = Vec::new();
        let from = self.history.partition_point(|(revision, _)| *revision <= seen);
        for (revision, changes) in self.history.range(from..) {
            let of_prefix = changes.iter().filter(|change| change.key().starts_with(prefix));
            let changes: Vec<KeyChange> = of_prefix.cloned().collect();
            if !changes.is_empty() {
                told.push(WatchEvent::Changed { revision: Revision(*revision), changes });
            }
        }
        (told, self.revision)
    }

    pub fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    pub fn grant(&mut self, ttl: u64, now: u64) -> LeaseId {
        self.last_lease += 1;
        self.leases.insert(self.last_lease, Granted { ttl, until: now + ttl });
        LeaseId(self.last_lease)
    }

    pub fn renew(&mut self, id: LeaseId, now: u64) -> bool {
        let lease = self.leases.get_mut(&id.0);
        lease.map(|lease| lease.until = now + lease.ttl).is_some()
    }

    pub fn revoke(&mut self, id: LeaseId) {
        if self.leases.remove(&id.0).is_some() {
            self.drop_keys(&[id]);
        }
    }

    /// Ends leases whose time has passed; whether there were any.
    pub fn expire(&mut self, now: u64) -> bool {
        let over = self.leases.iter().filter(|(_, lease)| lease.until <= now);
        let over: Vec<LeaseId> = over.map(|(id, _)| LeaseId(*id)).collect();
        self.leases.retain(|id, _| !over.contains(&LeaseId(*id)));
        self.drop_keys(&over);
        !over.is_empty()
    }

    fn drop_keys(&mut self, leases: &[LeaseId]) {
        let with = self.keys.iter().filter(|(_, key)| key.lease.is_some_and(|lease| leases.contains(&lease)));
        let writes = with.map(|(key, _)| Write::Delete(key.clone())).collect();
        self.write(writes);
    }
}

fn entry(key: &str, found: &Key) -> Entry {
    Entry { key: key.to_owned(), value: found.value.clone(), mod_revision: Revision(found.revision) }
}
