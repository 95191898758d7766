use super::{Sticky, murmur2, partition_of_key};
use std::collections::HashSet;

/// The values of UtilsTest.testMurmur2 in Apache Kafka.
#[test]
fn murmur2_is_that_of_the_java_client() {
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
    }
}

#[test]
fn the_sign_bit_is_cut_off_before_the_remainder() {
    assert_eq!(partition_of_key(b"21", 7).0, (-973_932_308i32 & 0x7fff_ffff) % 7);
}

#[test]
fn records_without_a_key_stay_together_for_a_batch() {
    let mut sticky = Sticky::new(7);
    let places: Vec<i32> = (0..40).map(|_| sticky.next(100, 4, 1000).0).collect();
    assert!(places.chunks(10).all(|batch| batch.iter().all(|place| *place == batch[0])), "{places:?}");
    assert!(places.chunks(10).collect::<Vec<_>>().windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
}

#[test]
fn all_partitions_get_their_turn() {
    let mut sticky = Sticky::new(7);
    let places: HashSet<i32> = (0..200).map(|_| sticky.next(1000, 6, 1000).0).collect();
    assert_eq!(places.len(), 6);
}
