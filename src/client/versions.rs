//! Which versions of each API this client writes, and which of them a broker has.

use std::collections::HashMap;

/// The lowest and highest version this client writes, by API key. Produce and Fetch stop before topic ids
/// replace names (KIP-516): names are all that the command line is given. FindCoordinator and OffsetFetch begin
/// where they take many groups at once (Kafka 3.0).
const SPOKEN: [(i16, i16, i16); 29] = [
    (0, 3, 12), // Produce
    (1, 4, 12), // Fetch
    (2, 2, 7),  // ListOffsets
    (3, 4, 12), // Metadata
    (8, 2, 9),  // OffsetCommit
    (9, 8, 9),  // OffsetFetch
    (10, 4, 6), // FindCoordinator
    (11, 4, 9), // JoinGroup
    (12, 0, 4), // Heartbeat
    (13, 3, 5), // LeaveGroup
    (14, 0, 5), // SyncGroup
    (15, 0, 6), // DescribeGroups
    (16, 0, 5), // ListGroups
    (18, 0, 3), // ApiVersions
    (19, 2, 7), // CreateTopics
    (20, 1, 5), // DeleteTopics
    (21, 0, 2), // DeleteRecords
    (22, 0, 4), // InitProducerId
    (32, 1, 4), // DescribeConfigs
    (37, 0, 3), // CreatePartitions
    (42, 0, 2), // DeleteGroups
    (44, 0, 1), // IncrementalAlterConfigs
    (47, 0, 0), // OffsetDelete
    (65, 0, 0), // DescribeTransactions
    (66, 0, 1), // ListTransactions
    (69, 0, 1), // ConsumerGroupDescribe
    (77, 1, 1), // ShareGroupDescribe
    (90, 0, 0), // DescribeShareGroupOffsets
    (91, 0, 0), // AlterShareGroupOffsets
];

/// The range of an API that this client speaks; empty for one that it does not.
pub(super) fn spoken(api_key: i16) -> (i16, i16) {
    let range = SPOKEN.iter().find(|(key, _, _)| *key == api_key);
    range.map_or((0, -1), |(_, min, max)| (*min, *max))
}

/// What a broker offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered(HashMap<i16, (i16, i16)>);

impl Offered {
    pub(super) fn new(ranges: impl IntoIterator<Item = (i16, i16, i16)>) -> Offered {
        Offered(ranges.into_iter().map(|(key, min, max)| (key, (min, max))).collect())
    }

    /// The highest version that both sides have.
    pub(super) fn best(&self, api_key: i16) -> Option<i16> {
        let (min, max) = spoken(api_key);
        let (broker_min, broker_max) = self.0.get(&api_key)?;
        let best = max.min(*broker_max);
        (best >= min.max(*broker_min)).then_some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::Offered;

    #[test]
    fn the_highest_common_version_is_chosen_or_none() {
        let offered = Offered::new([(0, 0, 13), (1, 4, 5), (2, 9, 10), (3, 0, 3)]);
        for (api_key, best) in [(0, Some(12)), (1, Some(5)), (2, None), (3, None), (19, None), (99, None)] {
            assert_eq!(offered.best(api_key), best, "api {api_key}");
        }
    }
}
