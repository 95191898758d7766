use super::*;
use proptest::prelude::*;

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn compressed(codec: Codec, plain: &[u8]) -> Bytes {
    compress(codec, plain).into()
}

proptest! {
    #[test]
    fn every_codec_gives_back_what_it_took(plain in proptest::collection::vec(any::<u8>(), 0..5000), repeats in 1usize..30) {
        let plain = plain.repeat(repeats);
        for codec in Codec::ALL {
            let packed = compressed(codec, &plain);
            prop_assert_eq!(&decompress(codec, &packed, plain.len()).unwrap()[..], &plain[..], "{:?}", codec);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        for codec in COMPRESSED {
            let _ = decompress(codec, &bytes, 1 << 16);
        }
    }

    #[test]
    fn a_damaged_stream_never_panics(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for codec in COMPRESSED {
            let mut packed = compress(codec, &b"some text, some text, some more text".repeat(50));
            let position = position.index(packed.len());
            packed[position] = byte;
            let _ = decompress(codec, &packed.into(), 1 << 16);
        }
    }
}

#[test]
fn a_bomb_is_refused_at_the_cap() {
    let plain = vec![0; 32 << 20];
    for codec in COMPRESSED {
        let bomb = compressed(codec, &plain);
        assert!(bomb.len() < plain.len() / 15, "{codec:?}");
        let refused = decompress(codec, &bomb, 1 << 20);
        assert!(
            matches!(refused, Err(CompressionError::TooLarge { bytes_max }) if bytes_max == 1 << 20),
            "{codec:?}"
        );
        assert!(decompress(codec, &bomb, plain.len()).is_ok(), "{codec:?}");
        assert!(decompress(codec, &bomb, plain.len() - 1).is_err(), "{codec:?}");
    }
    let plain = Bytes::from(vec![0; 100]);
    assert!(matches!(decompress(Codec::None, &plain, 99), Err(CompressionError::TooLarge { .. })));
}

/// An empty record set has no first byte; gzip, zstd and lz4 may end without an error before one.
#[test]
fn a_stream_cut_in_the_middle_is_refused_or_short() {
    let plain: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    for codec in COMPRESSED {
        let packed = compressed(codec, &plain);
        for cut in (1..packed.len()).step_by(97) {
            let read = decompress(codec, &packed.slice(..cut), plain.len());
            assert!(read.is_err() || read.is_ok_and(|read| read.len() < plain.len()), "{codec:?} at {cut}");
        }
    }
}

/// A frame header by hand: single segment off, window of 2^31 bytes, no content size.
#[test]
fn a_zstd_window_past_the_limit_is_refused() {
    let window_log = |log: u8| {
        let raw_block_last_of_one_byte = [0x09, 0x00, 0x00, b'a'];
        let frame =
            [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3][..], &raw_block_last_of_one_byte].concat();
        decompress(Codec::Zstd, &frame.into(), 1 << 20)
    };
    assert_eq!(&window_log(23).unwrap()[..], b"a");
    assert!(matches!(window_log(24), Err(CompressionError::Malformed { .. })));
    assert!(matches!(window_log(31), Err(CompressionError::Malformed { .. })));
}

#[test]
fn snappy_is_read_raw_as_well() {
    let plain = b"value value value value".repeat(100);
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(&decompress(Codec::Snappy, &raw.into(), plain.len()).unwrap()[..], &plain[..]);
}

#[test]
fn snappy_that_lies_about_its_length_is_refused_before_memory_is_reserved() {
    // 4 GiB less one, in a varint, and nothing after it.
    let raw = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(matches!(decompress(Codec::Snappy, &raw, usize::MAX), Err(CompressionError::Malformed { .. })));
    let blocks = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &[0x7f, 0xff, 0xff, 0xff, 1, 2]].concat();
    assert!(decompress(Codec::Snappy, &blocks.into(), usize::MAX).is_err());
    assert!(decompress(Codec::Snappy, &Bytes::from_static(b"\x82SNAPPY\0\0"), 100).is_err());
}

#[test]
fn snappy_is_framed_as_the_java_library_does() {
    let packed = compress(Codec::Snappy, &[7; 40_000]);
    assert_eq!(packed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let first = u32::from_be_bytes(packed[16..20].try_into().unwrap()) as usize;
    assert_eq!(snap::raw::decompress_len(&packed[20..20 + first]).unwrap(), 32 * 1024);
}

#[test]
fn codecs_have_kafkas_numbers_and_names() {
    for (bits, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec = Codec::from_bits(bits as i16).unwrap();
        assert_eq!((codec.name(), codec.bits()), (name, bits as i16));
        assert_eq!(Codec::from_name(name), Some(codec));
    }
    assert_eq!(Codec::from_bits(5), None);
    assert_eq!(Codec::from_name("uncompressed"), Some(Codec::None));
    assert_eq!(Codec::from_name("producer"), None);
}
