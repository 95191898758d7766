use super::*;

/// Apache Kafka 4.3.1, as `kafka-broker-api-versions` prints it.
const KAFKA: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (24, 0, 5),
    (25, 0, 4),
    (26, 0, 5),
    (28, 0, 5),
    (32, 1, 4),
    (33, 0, 2),
    (35, 1, 5),
    (37, 0, 3),
    (42, 0, 2),
    (44, 0, 1),
    (47, 0, 0),
    (60, 0, 2),
    (61, 0, 0),
    (65, 0, 0),
    (66, 0, 2),
    (68, 0, 1),
    (69, 0, 1),
    (74, 0, 1),
    (75, 0, 0),
    (76, 1, 1),
    (77, 1, 1),
    (78, 1, 2),
    (79, 1, 2),
    (90, 0, 1),
    (91, 0, 0),
    (92, 0, 0),
];

#[test]
fn every_range_lies_within_kafkas_own() {
    for range in SUPPORTED {
        let code = range.api_key.code();
        let (_, min, max) = KAFKA.iter().find(|(key, ..)| *key == code).expect("kafka has it");
        assert!(*min <= range.min && range.min <= range.max && range.max <= *max, "{:?}", range.api_key);
    }
    assert_eq!(SUPPORTED.len(), KAFKA.len());
}

#[test]
fn keys_are_sorted_and_found_by_their_number() {
    assert!(SUPPORTED.is_sorted_by(|a, b| a.api_key < b.api_key));
    for range in SUPPORTED {
        assert_eq!(ApiKey::from_code(range.api_key.code()), Some(range.api_key));
    }
    assert_eq!(ApiKey::from_code(4), None);
}

#[test]
fn the_first_produce_versions_are_listed_and_not_served() {
    assert_eq!((SUPPORTED[0].api_key, SUPPORTED[0].min), (ApiKey::Produce, 0));
    let served: Vec<i16> = (-1..=20).filter(|version| is_supported(0, *version)).collect();
    assert_eq!(served, (3..=13).collect::<Vec<i16>>());
}

#[test]
fn versions_outside_of_a_range_are_not_supported() {
    for range in SUPPORTED {
        assert!(!is_supported(range.api_key.code(), range.min - 1));
        assert!(is_supported(range.api_key.code(), range.max));
        assert!(!is_supported(range.api_key.code(), range.max + 1));
    }
    assert!(!is_supported(8, 10));
}
