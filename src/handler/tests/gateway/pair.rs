//! Two brokers on the same stores, each with a mesh endpoint on loopback.

use super::super::world::{self, NOW, Place, World, topic_name};
use crate::clock::Clock;
use crate::cluster::{PlacementKey, Stand, Standings};
use crate::handler::Handle;
use crate::leadership::{Leader, Leadership};
use crate::mesh::{ClusterSecret, MeshConfig, MeshIdentity, MeshName};
use crate::meta::faults::FaultyStore;
use crate::meta::keys::sessions::{Listener, Session};
use crate::meta::keys::view::{Member, View};
use crate::meta::{MetadataStore, Revision};
use crate::metrics::Metrics;
use crate::net::MeshDoor;
use crate::peers::{MeshStart, Peers, PeersStart, listen};
use crate::store::ObjectStore;
use crate::topic::Topic;
use crate::types::{BrokerId, ClusterId, PartitionIndex, SessionId, TopicPartition, ViewNumber};
use crate::wire::batch::{BatchBuilder, Codec, ProducerStamp};
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::{ProduceRequest, ProduceResponse};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The view in which both lead.
pub const VIEW: ViewNumber = ViewNumber(9);
/// Longer than anything here takes that is not broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Two brokers. Tests ask the first.
pub struct Pair {
    pub one: World,
    pub two: World,
    /// Where both keep what they know.
    pub metadata: Arc<FaultyStore>,
    /// By which the second broker's streams come in.
    pub door_of_two: MeshDoor,
}

impl Pair {
    pub async fn new() -> Pair {
        Pair::in_zones([None, None]).await
    }

    /// Brokers in these zones.
    pub async fn in_zones(zones: [Option<&str>; 2]) -> Pair {
        // Of a store with one writer each session seals all others.
        let faulty = Arc::new(FaultyStore::new(10_000_000));
        let metadata: Arc<dyn MetadataStore> = Arc::<FaultyStore>::clone(&faulty);
        let store = ObjectStore::in_memory();
        let (one, _) = broker(&metadata, &store, 1).await;
        let (two, door_of_two) = broker(&metadata, &store, 2).await;
        let pair = Pair { one: one.0, two: two.0, metadata: faulty, door_of_two };
        pair.tell([one.1, two.1], zones);
        pair
    }

    /// Both learn of the view that has both, and where they are.
    fn tell(&self, addresses: [String; 2], zones: [Option<&str>; 2]) {
        let own = |world: &World| world.context.leadership.own();
        let ids = [(own(&self.one), BrokerId(1)), (own(&self.two), BrokerId(2))];
        let members = ids.iter().zip(zones).map(|((session, id), zone)| Member {
            zone: zone.map(str::to_owned),
            ..Member::new(*session, *id)
        });
        let view = View::new(VIEW, members.collect());
        let listener = |id| Listener {
            name: "PLAINTEXT".to_owned(),
            host: "here".to_owned(),
            port: world::port_of(id),
            security: "PLAINTEXT".to_owned(),
        };
        let sessions = ids.iter().zip(addresses).map(|((session, id), address)| {
            let listeners = vec![listener(*id)];
            (*session, Arc::new(Session { mesh: Some(address), listeners, ..Session::new(*id, VIEW, 0) }))
        });
        let sessions: Arc<BTreeMap<_, _>> = Arc::new(sessions.collect());
        let stand = |(session, broker_id)| (session, Stand { broker_id, acked_view: VIEW });
        let standings = Standings { as_of: Revision(1000), sessions: ids.map(stand).into() };
        let standings = Arc::new(standings);
        for world in [&self.one, &self.two] {
            let leadership = &world.context.leadership;
            leadership.on_view(&view, Revision(1000)).expect("a known placement");
            leadership.on_sessions(Arc::clone(&sessions));
            leadership.on_standings(Arc::clone(&standings));
        }
    }

    /// A topic that both know, and whose partitions are open where they are led.
    /// Of several partitions each leads two at least: where they lie goes by the topic's id, so that is made again if need be.
    pub async fn create(&self, name: &str, partitions: i32) -> Arc<Topic> {
        let mut topic = self.one.create(name, partitions).await;
        let is_shared = |(one, two): (Vec<i32>, Vec<i32>)| one.len() > 1 && two.len() > 1;
        while partitions > 4 && !is_shared(self.led(&topic)) {
            topic = self.one.create(&format!("{}-again", topic.name), partitions).await;
        }
        let name = topic.name.as_str();
        self.two.context.topic_by_name(name).await.expect("it is there");
        for world in [&self.one, &self.two] {
            world.context.log.ensure(topic.id, partitions);
            world.context.leadership.on_served();
        }
        topic
    }

    /// Partitions by who leads them: the first broker's, and the second's.
    pub fn led(&self, topic: &Topic) -> (Vec<i32>, Vec<i32>) {
        let image = self.one.context.leadership.image();
        (0..topic.partitions).partition(|index| {
            let partition = TopicPartition { topic_id: topic.id, partition: PartitionIndex(*index) };
            image.leader(PlacementKey::partition(partition)) == Leader::Own
        })
    }

    /// A name that the second broker leads, as `key` places it.
    pub fn name_of_two(&self, prefix: &str, key: fn(&str) -> PlacementKey) -> String {
        let image = self.one.context.leadership.image();
        let mut names = (0..).map(|number| format!("{prefix}-{number}"));
        names.find(|name| image.leader(key(name)) != Leader::Own).expect("there are many names")
    }

    /// A name that the first broker leads.
    pub fn name_of_one(&self, prefix: &str, key: fn(&str) -> PlacementKey) -> String {
        let image = self.one.context.leadership.image();
        let mut names = (0..).map(|number| format!("{prefix}-{number}"));
        names.find(|name| image.leader(key(name)) == Leader::Own).expect("there are many names")
    }

    /// The end of a partition's log where it is led.
    pub fn end(&self, topic: &Topic, index: i32) -> i64 {
        let worlds = [&self.one, &self.two];
        let mut led = worlds.iter().filter_map(|world| world.context.partition(topic, index).ok());
        led.next().expect("one leads it").ends().high_watermark.get()
    }
}

async fn broker(
    metadata: &Arc<dyn MetadataStore>,
    store: &ObjectStore,
    number: u128,
) -> ((World, String), MeshDoor) {
    let broker_id = BrokerId(i32::try_from(number).expect("small"));
    let joined = world::join(metadata, store, broker_id, number).await;
    let session = joined.0.id();
    let door = MeshDoor::new();
    let endpoint = listen(mesh(session, broker_id, &door)).await.expect("a free port");
    let address = endpoint.address().to_string();
    let alone = View::new(ViewNumber(1), vec![Member::new(session, broker_id)]);
    let leadership = Leadership::new(&alone, Revision(1), session).expect("a known placement");
    let peers = Peers::start(PeersStart { leadership: leadership.clone(), endpoint: Some(endpoint) });
    let place = Place { broker_id, leadership, peers };
    let clock = Clock::Manual(Arc::new(NOW.get().into()));
    let config = Arc::new(world::config(|_| ()));
    let limits = config.limits;
    let context = world::context(metadata, store, joined, clock, config, place).await;
    let world = World::of(context);
    let handler: Arc<dyn Handle> = Arc::clone(&world.handler) as Arc<dyn Handle>;
    door.open(handler, limits, Arc::new(Metrics::new()));
    ((world, address), door)
}

fn mesh(session: SessionId, broker: BrokerId, door: &MeshDoor) -> MeshStart {
    let secret = ClusterSecret::new(b"the secret of these tests").expect("long enough");
    let name = MeshName { cluster: ClusterId(Uuid::from_u128(5)), broker, session };
    MeshStart {
        address: "127.0.0.1:0".parse().expect("an address"),
        identity: MeshIdentity::from_secret(&secret, name).expect("made"),
        config: MeshConfig::default(),
        serve: Arc::new(door.clone()),
        metrics: Metrics::new().mesh,
    }
}

/// A batch of one record.
pub fn batch(stamp: ProducerStamp) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, None, Some(b"value"), &[]);
    builder.finish(Codec::None, stamp)
}

/// A request with one such batch for each of these partitions.
pub fn produce(topic: &Topic, partitions: &[i32], acks: i16, stamp: ProducerStamp) -> ProduceRequest {
    let data = partitions
        .iter()
        .map(|index| PartitionProduceData::default().with_index(*index).with_records(Some(batch(stamp))));
    let of_topic = TopicProduceData::default()
        .with_name(topic_name(topic.name.as_str()))
        .with_partition_data(data.collect());
    ProduceRequest::default().with_acks(acks).with_timeout_ms(20_000).with_topic_data(vec![of_topic])
}

/// What is answered for each partition: its index, its code, its base offset.
pub fn answered(response: &ProduceResponse) -> Vec<(i32, i16, i64)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    let mut answers: Vec<_> =
        partitions.map(|part| (part.index, part.error_code, part.base_offset)).collect();
    answers.sort_unstable();
    answers
}
