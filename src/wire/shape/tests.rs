use super::*;
use crate::wire::api::SUPPORTED;
use crate::wire::messages::FetchRequest;
use crate::wire::{Decodable, Encodable};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use requests::{Sample, samples};

pub(crate) mod requests;

#[test]
fn every_request_is_walked_to_its_end() {
    for Sample { api_key, version, body, decode } in samples() {
        assert_eq!(check(api_key, version, &body), Ok(body.len()), "api {api_key} version {version}");
        assert!(decode(body, version), "api {api_key} version {version}");
    }
}

#[test]
fn every_version_of_every_shape_has_samples() {
    let samples = samples();
    for Shape { api_key, versions, .. } in tables::all() {
        for version in versions.clone() {
            let mut of = samples.iter().filter(|sample| sample.api_key == api_key.code());
            assert!(of.any(|sample| sample.version == version), "{api_key:?} {version}");
        }
    }
}

#[test]
fn every_version_that_is_answered_has_a_shape() {
    for range in SUPPORTED {
        for version in range.min..=range.max {
            let shape = tables::shape_of(range.api_key.code(), version);
            let answered = crate::wire::api::is_supported(range.api_key.code(), version);
            assert_eq!(shape.is_some(), answered, "{:?} {version}", range.api_key);
        }
    }
}

/// Which versions there are at most, and which header each has, is told by our tables and by `kafka_protocol` alike.
#[test]
fn versions_and_headers_agree_with_kafka_protocol() {
    use crate::wire::messages::ApiKey as Theirs;
    for shape in tables::all() {
        let theirs = Theirs::try_from(shape.api_key.code()).unwrap();
        assert_eq!(format!("{theirs:?}"), format!("{:?}", shape.api_key));
        // Their list has InitProducerId 6, which their message has not.
        let all = theirs.valid_versions();
        assert!(all.min == *shape.versions.start() && *shape.versions.end() <= all.max, "{theirs:?}");
        for version in shape.versions.clone() {
            let flexible = is_flexible(shape.api_key, version);
            assert_eq!(flexible, theirs.request_header_version(version) == 2, "{theirs:?} {version}");
            let response = i16::from(flexible && theirs != Theirs::ApiVersions);
            assert_eq!(theirs.response_header_version(version), response, "{theirs:?} {version}");
        }
    }
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for Sample { api_key, version, body, .. } in samples() {
        for cut in 0..body.len() {
            assert!(
                check(api_key, version, &body[..cut]).is_err(),
                "api {api_key} version {version} at {cut}"
            );
        }
        let longer = [&body[..], &[0]].concat();
        assert_eq!(check(api_key, version, &longer), Ok(body.len()), "what follows is not looked at");
    }
}

/// Huge and negative numbers as counts and lengths come: 4 bytes, 2 bytes, varint.
const LIES: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x1d, 0xcd, 0x65, 0x00],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x7f, 0xff],
    &[0xff, 0xfe],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// A lie that stands where no count is may pass: then it is decoded without trouble.
#[test]
fn a_lying_number_anywhere_is_refused_or_harmless() {
    for Sample { api_key, version, body, decode } in samples() {
        for (position, lie) in (0..body.len()).flat_map(|at| LIES.iter().map(move |lie| (at, lie))) {
            let mut lying = body.to_vec();
            let end = body.len().min(position + lie.len());
            lying[position..end].copy_from_slice(&lie[..end - position]);
            if check(api_key, version, &lying).is_ok() {
                decode(lying.into(), version);
            }
        }
    }
}

/// Each array of a schema in turn, by the path the walk takes, with more elements than there are bytes.
#[test]
fn an_inflated_count_is_refused_at_every_array() {
    let mut arrays = 0;
    for Sample { api_key, version, body, .. } in samples() {
        let shape = tables::shape_of(api_key, version).unwrap();
        let flexible = version >= shape.flexible_from;
        for position in walk::array_positions(shape, version, &body) {
            let inflated: &[u8] =
                if flexible { &[0xff, 0xff, 0xff, 0x7f] } else { &[0x1d, 0xcd, 0x65, 0x00] };
            let replaced = if flexible { 1 } else { 4 };
            let lying = [&body[..position], inflated, &body[position + replaced..]].concat();
            let refused = check(api_key, version, &lying);
            assert!(
                matches!(refused, Err(ShapeError::Short { .. })),
                "api {api_key} version {version}: {refused:?}"
            );
            arrays += 1;
        }
    }
    assert!(arrays > 600, "only {arrays} arrays were seen");
}

#[test]
fn eight_bytes_that_claim_500_million_topics_are_refused() {
    let body = [0x1d, 0xcd, 0x65, 0x00, 0, 0, 0, 0];
    assert_eq!(
        check(ApiKey::Metadata.code(), 1, &body),
        Err(ShapeError::Short { position: 4, wanted: 500_000_000, left: 4 })
    );
}

#[test]
fn more_elements_than_the_limit_are_refused() {
    // Null names: one byte each, and a count of tagged fields.
    let metadata = |topics: usize| {
        let mut body = Vec::new();
        let mut count = topics + 1;
        while count >= 0x80 {
            body.push((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        body.push(count as u8);
        (0..topics).for_each(|_| body.extend_from_slice(&[1, 0]));
        body.extend_from_slice(&[1, 0]);
        body
    };
    let of_topics = |topics| {
        let mut body = metadata(topics);
        body.splice(body.len() - 2.., [1, 0, 0, 0]);
        check(ApiKey::Metadata.code(), 9, &body).map(drop)
    };
    assert_eq!(of_topics(ELEMENTS_MAX), Ok(()));
    assert_eq!(of_topics(ELEMENTS_MAX + 1), Err(ShapeError::TooManyElements));
}

#[test]
fn null_is_refused_where_the_schema_has_none() {
    // Metadata 0 has no null list; from 1 on it means all topics.
    assert_eq!(check(3, 0, &[0xff; 4]), Err(ShapeError::IllegalLength { position: 0 }));
    assert_eq!(check(3, 1, &[0xff; 4]), Ok(4));
    assert_eq!(check(3, 1, &[0xff, 0xff, 0xff, 0xfe]), Err(ShapeError::IllegalLength { position: 0 }));
}

#[test]
fn a_known_tagged_field_must_be_as_long_as_it_says() {
    // InitProducerId has none; Fetch 12 has the cluster id at tag 0.
    let fetch = |tagged: &[u8]| {
        let fixed = [0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
        check(1, 12, &[&fixed[..], &[1, 1, 1], tagged].concat()).map(drop)
    };
    assert_eq!(fetch(&[0]), Ok(()));
    assert_eq!(fetch(&[1, 0, 3, 3, b'i', b'd']), Ok(()));
    assert!(matches!(fetch(&[1, 0, 3, 2, b'i', b'd']), Err(ShapeError::IllegalTag { tag: 0, .. })));
    assert!(matches!(fetch(&[1, 0, 3, 4, b'i', b'd']), Err(ShapeError::Short { .. })));
    assert!(matches!(fetch(&[2, 0, 1, 0, 0, 1, 0]), Err(ShapeError::IllegalTag { tag: 0, .. })));
}

/// Fetch has the replica's state at tag 1 from version 15 on, a partition of it the high watermark at tag 1 from 18 on.
#[test]
fn a_tagged_field_of_another_version_is_refused() {
    for (version, tag, refused) in [(12, 1, true), (15, 1, false), (18, 1, false), (12, 2, false)] {
        let request = FetchRequest::default().with_unknown_tagged_field(2, Bytes::from_static(&[0; 13]));
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("the version has all that is set");
        let place = body.len() - 15;
        body[place] = tag;
        let checked = check(1, version, &body).map(drop);
        match refused {
            true => assert_eq!(checked, Err(ShapeError::IllegalTag { position: place + 2, tag: tag.into() })),
            false => assert_eq!(checked, Ok(()), "tag {tag} in version {version}"),
        }
        assert_eq!(FetchRequest::decode(&mut body.freeze(), version).is_err(), refused, "as who decodes it");
    }
}

#[test]
fn an_unsupported_version_has_no_shape() {
    for (api_key, api_version) in [(0, 2), (0, 14), (1, 3), (8, 1), (8, 10), (17, 0), (99, 0), (-1, 0)] {
        assert_eq!(check(api_key, api_version, &[]), Err(ShapeError::Unsupported { api_key, api_version }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_bytes_never_panic(index in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let samples = samples();
        let sample = &samples[index.index(samples.len())];
        if check(sample.api_key, sample.version, &bytes).is_ok() {
            (sample.decode)(bytes.into(), sample.version);
        }
    }

    #[test]
    fn small_random_numbers_never_panic(index in any::<prop::sample::Index>(), bytes in proptest::collection::vec(0u8..6, 0..200)) {
        let samples = samples();
        let sample = &samples[index.index(samples.len())];
        if check(sample.api_key, sample.version, &bytes).is_ok() {
            (sample.decode)(bytes.into(), sample.version);
        }
    }
}
