//! Random worlds of members of both protocols in one group: never do two of them own one partition.

use super::classic::{classic_join, of, snapshot};
use super::fixture::*;
use super::restores::restored;
use crate::group::consumer::*;
use crate::types::{Moment, TopicPartition};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Client 0 and 1 are classic and cooperative, 2 is classic and eager, the others are new.
const CLIENTS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Event {
    Work(usize),
    Leave(usize),
    Grow(i32),
    Pass(u64),
    Restore,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..CLIENTS).prop_map(Event::Work),
        1 => (0..CLIENTS).prop_map(Event::Leave),
        1 => (1..8i32).prop_map(Event::Grow),
        2 => (0..20_000u64).prop_map(Event::Pass),
        1 => Just(Event::Restore),
    ]
}

#[derive(Clone, Debug, Default)]
struct Client {
    life: usize,
    /// None: it is not in the group, or has to join again.
    epoch: Option<i32>,
    joins_again: bool,
    owned: PartitionSet,
    told: Option<PartitionSet>,
}

struct World {
    group: ConsumerGroup,
    image: TopicsImage,
    now: Moment,
    clients: Vec<Client>,
}

impl World {
    fn new() -> World {
        let classic = snapshot(&[("c0-0", &[0, 1]), ("c1-0", &[2]), ("c2-0", &[3])]);
        let image = topics(&[("a", 1, 4)]);
        let group = ConsumerGroup::upgrade(&classic, config(), at(0), &image).unwrap();
        let mut clients = vec![Client::default(); CLIENTS];
        for (client, owned) in clients.iter_mut().zip([ones(&[0, 1]), ones(&[2]), ones(&[3])]) {
            client.epoch = Some(7);
            client.owned = owned;
        }
        World { group, image, now: at(0), clients }
    }

    fn id(&self, client: usize) -> String {
        format!("c{client}-{}", self.clients[client].life)
    }

    fn drop_out(&mut self, client: usize) {
        self.clients[client] = Client { life: self.clients[client].life + 1, ..Client::default() };
    }

    /// The next thing that the client does by itself.
    fn work(&mut self, client: usize) {
        let state = &mut self.clients[client];
        if let Some(told) = state.told.take() {
            state.owned = told;
        }
        match (client < 3, state.epoch, state.joins_again) {
            (true, Some(epoch), false) => self.beat_classic(client, epoch),
            (true, _, _) => self.join_classic(client),
            (false, epoch, _) => self.beat_new(client, epoch),
        }
    }

    fn beat_classic(&mut self, client: usize, epoch: i32) {
        match self.group.heartbeat_classic(self.now, &of(&self.id(client), epoch)) {
            Ok(()) => {}
            Err(GroupError::RebalanceInProgress) => self.clients[client].joins_again = true,
            Err(_) => self.drop_out(client),
        }
    }

    fn join_classic(&mut self, client: usize) {
        let id = self.id(client);
        let state = &mut self.clients[client];
        if client == 2 {
            state.owned.clear();
        }
        let owned: Vec<i32> = state.owned.iter().map(|which| which.partition.0).collect();
        let join = classic_join(&id, &[("a", &owned)]);
        let answer = self.group.join_classic(self.now, &join, &self.image).unwrap();
        self.clients[client].epoch = Some(answer.generation_id);
        match self.group.sync_classic(self.now, &of(&id, answer.generation_id), None, None) {
            Ok(bytes) => {
                let numbers = decode_assignment(&bytes).unwrap().remove("a").unwrap_or_default();
                let told: PartitionSet = numbers.into_iter().map(|number| tp(1, number)).collect();
                let state = &mut self.clients[client];
                // A cooperative client joins again by itself when it had to give something up.
                state.joins_again = !state.owned.is_subset(&told);
                state.owned.extend(told.iter().copied());
                state.told = Some(told);
            }
            Err(GroupError::RebalanceInProgress) => self.clients[client].joins_again = true,
            Err(error) => panic!("{error}"),
        }
    }

    fn beat_new(&mut self, client: usize, epoch: Option<i32>) {
        let id = self.id(client);
        let request = match epoch {
            None => join(&id, &["a"]),
            Some(epoch) => owning(&id, epoch, self.clients[client].owned.clone()),
        };
        match self.group.heartbeat(self.now, &request, &self.image) {
            Err(_) => self.drop_out(client),
            Ok(answer) => {
                let state = &mut self.clients[client];
                state.epoch = Some(answer.member_epoch);
                if let Some(told) = answer.assignment {
                    state.owned.extend(told.iter().copied());
                    state.told = Some(told);
                }
            }
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Work(client) => self.work(client),
            Event::Leave(client) if client < 3 => {
                let _answers = self.group.leave_classic(self.now, &[of(&self.id(client), 0)]);
                self.drop_out(client);
            }
            Event::Leave(client) => {
                let _answer = self.group.heartbeat(self.now, &beat(&self.id(client), -1), &self.image);
                self.drop_out(client);
            }
            Event::Grow(more) => {
                let partitions = self.image[&name("a")].partitions.max(4 + more);
                self.image = topics(&[("a", 1, partitions)]);
                self.group.on_topics_changed(self.now, &self.image);
            }
            Event::Pass(millis) => self.pass(millis),
            Event::Restore => self.group = restored(&self.group, config(), self.now),
        }
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.group.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline.max(self.now);
            self.group.on_time(self.now);
        }
        self.now = until;
        let members = self.group.describe().members;
        for client in 0..CLIENTS {
            let id = self.id(client);
            if !members.iter().any(|member| member.member_id.as_str() == id) {
                self.drop_out(client);
            }
        }
    }

    fn check(&self) {
        let mut owners: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for (number, client) in self.clients.iter().enumerate() {
            for which in &client.owned {
                assert_eq!(owners.insert(*which, number), None, "{which} is owned by client {number} too");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_two_members_of_either_protocol_own_a_partition(events in proptest::collection::vec(event(), 1..100)) {
        let mut world = World::new();
        for event in events {
            world.act(event);
            world.check();
        }
        for _ in 0..40 {
            world.pass(1_000);
            for client in 0..CLIENTS {
                world.work(client);
                world.check();
            }
        }
        let view = world.group.describe();
        prop_assert_eq!(view.state, ConsumerGroupState::Stable);
        let partitions = world.image[&name("a")].partitions as usize;
        let owned: usize = world.clients.iter().map(|client| client.owned.len()).sum();
        prop_assert_eq!(owned, partitions);
        let counts: Vec<usize> = view.members.iter().map(|member| member.assignment.len()).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
    }
}
