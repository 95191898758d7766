//! Brokers as clients of one listener are told of them: addresses, and who leads and coordinates what.
//!
//! A broker that has no listener of that name, or that this one knows nothing of yet, is left out, and this broker is named in
//! its place: every broker takes every request, and sends on what others lead.
//!
//! *One address for several.* Brokers that advertise the same address, as behind a load balancer, are told of as one, by the
//! least of their ids: clients keep brokers by id, and librdkafka before 2.10 forgets all but the last id of an address.
//!
//! *Zones.* Of each zone one broker reads a partition for the consumers there (`forward/nearby.rs`), so it is told of as a
//! replica. To a client that names its zone in its client id (`zone_hint.rs`) that broker is told of as the leader, so that
//! nothing of what it sends and fetches goes to another zone by its own connections.

use super::ConnectionInfo;
use super::context::Context;
use super::zone_hint::zone_hint;
use crate::cluster::PlacementKey;
use crate::hashing::{HashMap, HashSet};
use crate::leadership::{Leader, ViewImage};
use crate::meta::keys::view::Member;
use crate::types::{BrokerId, SessionId, TopicPartition};
use crate::wire::StrBytes;
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
        let (own, image, listener) =
            (context.cluster.broker_id, context.leadership.image(), connection.listener.as_str());
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
        let told_as = join_addresses(&mut told);
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
fn join_addresses(told: &mut BTreeMap<BrokerId, ToldBroker>) -> BTreeMap<BrokerId, BrokerId> {
    let mut by_address: HashMap<(StrBytes, i32), BrokerId> = HashMap::default();
    let mut told_as = BTreeMap::new();
    for (id, broker) in std::mem::take(told) {
        let first = *by_address.entry((broker.host.clone(), broker.port)).or_insert(id);
        told_as.insert(id, first);
        let joined = told.entry(first).or_insert_with(|| broker.clone());
        if joined.rack != broker.rack {
            joined.rack = None;
        }
    }
    told_as
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
