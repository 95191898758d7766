//! Brokers as clients of one listener are told of them: addresses, and who leads and coordinates what.
//!
//! A broker that has no listener of that name, or that this one knows nothing of yet, is left out, and this broker is named in
//! its place: every broker takes every request, and sends on what others lead.
//!
//! *One address for several.* Brokers that advertise the same address, as behind a load balancer, are told of as one: clients
//! keep brokers by id, and librdkafka before 2.10 forgets all but the last id of an address. The id is made from the address, so
//! that it stays whoever comes and goes: with an id, librdkafka from 2.10 on drops all requests that are on their way to it.
//!
//! *Zones.* Of each zone one broker reads a partition for the consumers there (`forward/nearby.rs`), so it is told of as a
//! replica. To a client that names its zone in its client id (`zone_hint.rs`) that broker is told of as the leader, so that
//! nothing of what it sends and fetches goes to another zone by its own connections.

use super::ConnectionInfo;
use super::context::Context;
use super::zone_hint::zone_hint;
use crate::cluster::PlacementKey;
use crate::hashing::HashSet;
use crate::leadership::{Leader, ViewImage};
use crate::meta::keys::view::Member;
use crate::types::{BrokerId, SessionId, TopicPartition};
use crate::wire::{StrBytes, messages};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The brokers of one view.
#[derive(Debug)]
pub struct Brokers {
    own: BrokerId,
    image: Arc<ViewImage>,
    told: BTreeMap<BrokerId, ToldBroker>,
    /// By which id each broker is told of.
    told_as: BTreeMap<BrokerId, BrokerId>,
    /// The zone that the client is in, as far as it said so.
    zone: Option<String>,
}

/// A broker, and where clients of the listener reach it.
#[derive(Clone, Debug)]
pub struct ToldBroker {
    /// Its id.
    pub id: BrokerId,
    /// Its host.
    pub host: StrBytes,
    /// Its port.
    pub port: i32,
    /// Where it runs.
    pub rack: Option<StrBytes>,
}

impl Brokers {
    /// What a client of `connection` is told now.
    pub fn of(context: &Context, connection: &ConnectionInfo) -> Brokers {
        Brokers::at(context, &connection.listener)
    }

    fn at(context: &Context, listener: &str) -> Brokers {
        let (own, image) = (context.cluster.broker_id, context.leadership.image());
        let own_session = context.leadership.own();
        let here = || own_address(context, listener);
        let tell = |member: &Member| {
            let told = if member.session == own_session {
                Some(here())
            } else {
                address(context, &image, member, listener)
            };
            told.map(|told| (told.id, told))
        };
        let mut told: BTreeMap<_, _> = image.members().iter().filter_map(tell).collect();
        if told.is_empty() || told.len() < image.members().len() {
            told.entry(own).or_insert_with(here);
        }
        let told_as = join_addresses(&mut told, &context.shared_addresses);
        Brokers { own, image, told, told_as, zone: None }
    }

    /// The same, for a client with this id.
    #[must_use]
    pub fn for_client(self, client_id: Option<&str>) -> Brokers {
        Brokers { zone: client_id.and_then(zone_hint), ..self }
    }

    /// All of them, in the order of their ids; at least one.
    pub fn all(&self) -> impl Iterator<Item = &ToldBroker> {
        self.told.values()
    }

    /// By which id clients know this broker; its own if they are not told of it.
    pub fn own_id(&self) -> BrokerId {
        self.told_as(self.own).unwrap_or(self.own)
    }

    /// Whether clients know this broker by that id.
    pub fn is_own(&self, id: BrokerId) -> bool {
        id == self.own || id == self.own_id()
    }

    /// Whether a manual assignment of a partition may read so: copies are the object store's business, so it is one broker.
    pub fn is_assignable(&self, broker_ids: &[messages::BrokerId]) -> bool {
        matches!(broker_ids, [id] if self.told.contains_key(&BrokerId(id.0)))
    }

    /// What [`Brokers::is_assignable`] takes, in words.
    pub fn assignable(&self) -> String {
        let ids: Vec<String> = self.told.keys().map(|id| id.0.to_string()).collect();
        ids.join(" or ")
    }

    /// Who is named as controller: any takes what clients send there, and the first is named by all.
    pub fn controller(&self) -> BrokerId {
        self.told.keys().next().copied().unwrap_or(self.own)
    }

    /// What clients know as leader epoch of every partition.
    pub fn leader_epoch(&self) -> i32 {
        self.image.number().0
    }

    /// Who is named as leader of a partition; none if the view has no members.
    pub fn leader(&self, partition: TopicPartition) -> Option<BrokerId> {
        let key = PlacementKey::partition(partition);
        let near = self.zone.as_ref().and_then(|zone| self.reader_in(zone, key));
        near.and_then(|member| self.told_as(member.broker_id)).or_else(|| self.named(key))
    }

    /// Who is named as having a partition's records: who is named as leader, who leads it, and who reads it in each zone.
    pub fn replicas(&self, partition: TopicPartition) -> Vec<BrokerId> {
        let key = PlacementKey::partition(partition);
        let readers = self.image.members_in_zones(key);
        let readers = readers.filter_map(|member| self.told_as(member.broker_id));
        let mut replicas: Vec<BrokerId> = self.leader(partition).into_iter().collect();
        for broker_id in self.named(key).into_iter().chain(readers) {
            if !replicas.contains(&broker_id) {
                replicas.push(broker_id);
            }
        }
        replicas
    }

    /// Who reads for the consumers of `zone` what `key` names; none if the zone has nobody whom clients are told of.
    pub fn reader_in(&self, zone: &str, key: PlacementKey) -> Option<&Member> {
        self.image.member_in(zone, key).filter(|member| self.told_as.contains_key(&member.broker_id))
    }

    /// By which id clients know a broker; none: they are not told of it.
    pub fn told_as(&self, broker_id: BrokerId) -> Option<BrokerId> {
        self.told_as.get(&broker_id).copied()
    }

    /// Who is named as coordinator of a group or a transactional id.
    pub fn coordinator(&self, key: PlacementKey) -> Option<&ToldBroker> {
        self.told.get(&self.named(key)?)
    }

    fn named(&self, key: PlacementKey) -> Option<BrokerId> {
        let leader = match self.image.leader(key) {
            Leader::Nobody => return None,
            Leader::Own => self.own,
            Leader::Other(_) => self.image.leading_member(key)?.broker_id,
        };
        self.told_as(leader).or_else(|| self.told_as(self.own))
    }
}

/// Leaves one broker for each address, and tells by which id each of all is known then. Its rack is that of all, or none.
fn join_addresses(
    told: &mut BTreeMap<BrokerId, ToldBroker>,
    shared: &SharedAddresses,
) -> BTreeMap<BrokerId, BrokerId> {
    let mut by_address: BTreeMap<(StrBytes, i32), Vec<ToldBroker>> = BTreeMap::new();
    for broker in std::mem::take(told).into_values() {
        by_address.entry((broker.host.clone(), broker.port)).or_default().push(broker);
    }
    let mut told_as = BTreeMap::new();
    let (one_each, several): (Vec<_>, Vec<_>) =
        by_address.into_iter().partition(|(address, brokers)| !shared.is_shared(address, brokers.len()));
    for (_, brokers) in one_each {
        for broker in brokers {
            told_as.insert(broker.id, broker.id);
            told.insert(broker.id, broker);
        }
    }
    for ((host, port), brokers) in several {
        let mut id = shared_id(&host, port);
        while told.contains_key(&id) {
            id.0 += 1;
        }
        told_as.extend(brokers.iter().map(|broker| (broker.id, id)));
        let rack =
            brokers[0].rack.clone().filter(|rack| brokers.iter().all(|one| one.rack.as_ref() == Some(rack)));
        told.insert(id, ToldBroker { id, host, port, rack });
    }
    told_as
}

/// Ids of shared addresses: above those that people give to brokers, and below what the Java client makes of them for
/// its connections to coordinators, the largest number less the id.
const SHARED_IDS: u64 = 1 << 28;

/// The same at every broker.
fn shared_id(host: &str, port: i32) -> BrokerId {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(format!("{host}:{port}").as_bytes());
    let number = SHARED_IDS + digest.finalize() % SHARED_IDS;
    BrokerId(i32::try_from(number).expect("below 2^29"))
}

/// Addresses that several brokers had: each keeps the id of a shared one when all brokers but one have left.
#[derive(Debug, Default)]
pub struct SharedAddresses {
    known: Mutex<HashSet<(StrBytes, i32)>>,
}

/// Notices shared addresses also in views of which no client asks: a broker that is alone later tells the same id as before.
pub async fn follow_shared_addresses(context: Arc<Context>) {
    let mut changes = context.leadership.changes();
    loop {
        for listener in &context.cluster.listeners {
            Brokers::at(&context, &listener.name);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// So many are remembered.
const SHARED_MAX: usize = 1000;

impl SharedAddresses {
    fn is_shared(&self, address: &(StrBytes, i32), brokers: usize) -> bool {
        let mut known = self.known.lock();
        if brokers > 1 && known.len() < SHARED_MAX && !known.contains(address) {
            known.insert(address.clone());
        }
        brokers > 1 || known.contains(address)
    }
}

fn own_address(context: &Context, listener: &str) -> ToldBroker {
    let (host, port) = context.cluster.address(listener);
    let rack = context.config.zone.clone().map(StrBytes::from_string);
    ToldBroker { id: context.cluster.broker_id, host: StrBytes::from_string(host), port, rack }
}

fn address(context: &Context, image: &ViewImage, member: &Member, listener: &str) -> Option<ToldBroker> {
    let session = image.session(member.session)?;
    let Some(address) = session.listeners.iter().find(|told| told.name == listener) else {
        if context.missing_listeners.is_new(member.session, listener) {
            let broker = member.broker_id.0;
            tracing::warn!(
                broker,
                listener,
                "clients of this listener are not told of a broker without one of its name"
            );
        }
        return None;
    };
    Some(ToldBroker {
        id: member.broker_id,
        host: StrBytes::from_string(address.host.clone()),
        port: i32::from(address.port),
        rack: member.zone.clone().map(StrBytes::from_string),
    })
}

/// Listeners that other brokers lack, of which the log has a line each.
#[derive(Debug, Default)]
pub struct MissingListeners {
    told: Mutex<HashSet<(SessionId, String)>>,
}

/// Lines before the first may come again.
const MISSING_MAX: usize = 1000;

impl MissingListeners {
    fn is_new(&self, session: SessionId, listener: &str) -> bool {
        let mut told = self.told.lock();
        if told.len() >= MISSING_MAX {
            told.clear();
        }
        told.insert((session, listener.to_owned()))
    }
}
