//! Record batches made by hand, right and wrong ones, independent of the library's own encoder.
//!
//! Layout (KIP-98): base offset 8, length 4, leader epoch 4, magic 1, CRC-32C 4 over all that follows,
//! attributes 2, last offset delta 4, base timestamp 8, max timestamp 8, producer id 8, producer epoch 2,
//! base sequence 4, number of records 4, records.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::{Read, Write};

/// How the records of a batch are compressed; the numbers stand in the batch's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// All codecs of the protocol.
pub const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Bit 5 of the attributes: a batch of transaction markers.
pub const CONTROL: i16 = 0x20;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: i64,
}

/// A batch to be encoded. Fields that are `Some` overrule what would be right.
#[derive(Clone, Debug)]
pub struct Batch {
    pub records: Vec<Record>,
    pub codec: Codec,
    pub attributes: i16,
    pub magic: i8,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: Option<i32>,
    pub last_offset_delta: Option<i32>,
    pub max_timestamp: Option<i64>,
    pub crc_flip: u32,
}

/// The time of records that nobody gave another.
pub const SOME_TIME_MS: i64 = 1_700_000_000_000;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;

impl Record {
    /// A record with a value and nothing else.
    pub fn of(value: impl AsRef<[u8]>) -> Record {
        Record { value: Some(value.as_ref().to_vec()), timestamp: SOME_TIME_MS, ..Record::default() }
    }

    /// The same record at another time, in milliseconds.
    pub fn at(mut self, timestamp: i64) -> Record {
        self.timestamp = timestamp;
        self
    }

    fn encode(&self, offset_delta: usize, base_timestamp: i64, to: &mut BytesMut) {
        let mut body = BytesMut::new();
        body.put_i8(0);
        put_varint(&mut body, self.timestamp - base_timestamp);
        put_varint(&mut body, length(offset_delta));
        put_field(&mut body, self.key.as_deref());
        put_field(&mut body, self.value.as_deref());
        put_varint(&mut body, length(self.headers.len()));
        for (name, value) in &self.headers {
            put_field(&mut body, Some(name.as_bytes()));
            put_field(&mut body, value.as_deref());
        }
        put_varint(to, length(body.len()));
        to.put_slice(&body);
    }
}

impl Batch {
    /// A plain, right batch.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Batch {
        Batch {
            records: records.into_iter().collect(),
            codec: Codec::None,
            attributes: 0,
            magic: 2,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: None,
            last_offset_delta: None,
            max_timestamp: None,
            crc_flip: 0,
        }
    }

    /// `count` records whose values tell their place, such as `a-0`, `a-1`.
    pub fn numbered(name: &str, count: usize) -> Batch {
        Batch::of((0..count).map(|number| Record::of(format!("{name}-{number}"))))
    }

    /// The same records, compressed.
    pub fn compressed(mut self, codec: Codec) -> Batch {
        self.codec = codec;
        self
    }

    /// The same batch from an idempotent producer.
    pub fn by_producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Batch {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// The batch as bytes.
    pub fn encode(&self) -> Bytes {
        let base_timestamp = self.records.first().map_or(SOME_TIME_MS, |record| record.timestamp);
        let max_timestamp =
            self.records.iter().map(|record| record.timestamp).max().unwrap_or(base_timestamp);
        let mut records = BytesMut::new();
        for (delta, record) in self.records.iter().enumerate() {
            record.encode(delta, base_timestamp, &mut records);
        }
        let count = i32::try_from(self.records.len()).expect("few records");

        let mut checked = BytesMut::new();
        checked.put_i16(self.attributes | self.codec as i16);
        checked.put_i32(self.last_offset_delta.unwrap_or(count - 1));
        checked.put_i64(base_timestamp);
        checked.put_i64(self.max_timestamp.unwrap_or(max_timestamp));
        checked.put_i64(self.producer_id);
        checked.put_i16(self.producer_epoch);
        checked.put_i32(self.base_sequence);
        checked.put_i32(self.record_count.unwrap_or(count));
        checked.put_slice(&compress(self.codec, &records));

        let mut batch = BytesMut::new();
        batch.put_i64(0);
        batch.put_i32(i32::try_from(checked.len() + 9).expect("a small batch"));
        batch.put_i32(-1);
        batch.put_i8(self.magic);
        batch.put_u32(crc32c(&checked) ^ self.crc_flip);
        batch.put_slice(&checked);
        batch.freeze()
    }
}

/// What a reader needs of a batch that was fetched.
#[derive(Clone, Debug)]
pub struct ParsedBatch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub last_offset: i64,
    pub bytes: Bytes,
}

impl ParsedBatch {
    /// The values of its records.
    pub fn values(&self) -> Vec<Vec<u8>> {
        self.records().into_iter().map(|record| record.value.unwrap_or_default()).collect()
    }

    /// Its records.
    pub fn records(&self) -> Vec<Record> {
        self.records_at().into_iter().map(|(_, record)| record).collect()
    }

    /// Its records with their offsets.
    pub fn records_at(&self) -> Vec<(i64, Record)> {
        let mut header = &self.bytes[21..HEADER_BYTES];
        let attributes = header.get_i16();
        header.advance(4);
        let base_timestamp = header.get_i64();
        let count = (&self.bytes[57..61]).get_i32();
        let records = decompress(attributes & 7, &self.bytes[HEADER_BYTES..]);
        let mut rest = records.as_slice();
        let taken = (0..count).map(|_| take_record(&mut rest, base_timestamp));
        taken.map(|(delta, record)| (self.base_offset + delta, record)).collect()
    }
}

/// The whole batches of a fetched partition; a cut one at the end is left out, as consumers do.
pub fn parse_batches(bytes: &Bytes) -> Vec<ParsedBatch> {
    let mut rest = bytes.clone();
    let mut batches = Vec::new();
    while rest.len() >= HEADER_BYTES {
        let length = usize::try_from((&rest[8..12]).get_i32()).expect("a length") + 12;
        if rest.len() < length {
            break;
        }
        let bytes = rest.split_to(length);
        let stored = (&bytes[17..21]).get_u32();
        assert_eq!(stored, crc32c(&bytes[21..]), "the CRC of a fetched batch");
        let base_offset = (&bytes[0..8]).get_i64();
        let last_offset = base_offset + i64::from((&bytes[23..27]).get_i32());
        batches.push(ParsedBatch {
            base_offset,
            leader_epoch: (&bytes[12..16]).get_i32(),
            last_offset,
            bytes,
        });
    }
    batches
}

/// CRC-32C, as batches carry it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(checksum).expect("a CRC of 32 bits")
}

fn compress(codec: Codec, records: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => records.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(records).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(records).expect("memory"),
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Zstd => zstd::encode_all(records, 3).expect("memory"),
    }
}

fn decompress(codec: i16, records: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match codec {
        0 => plain.extend_from_slice(records),
        1 => drop(flate2::read::GzDecoder::new(records).read_to_end(&mut plain).expect("gzip")),
        2 => plain = decompress_snappy(records),
        3 => drop(lz4_flex::frame::FrameDecoder::new(records).read_to_end(&mut plain).expect("lz4")),
        4 => plain = zstd::decode_all(records).expect("zstd"),
        other => panic!("codec {other}"),
    }
    plain
}

/// What Java's clients put before blocks, each with its length before it; other clients send one block as it is.
const SNAPPY_OF_JAVA: &[u8] = b"\x82SNAPPY\0";

fn decompress_snappy(records: &[u8]) -> Vec<u8> {
    let block = |block: &[u8]| snap::raw::Decoder::new().decompress_vec(block).expect("snappy");
    if !records.starts_with(SNAPPY_OF_JAVA) {
        return block(records);
    }
    let mut rest = &records[SNAPPY_OF_JAVA.len() + 8..];
    let mut plain = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(rest.get_u32()).expect("a small block");
        let (first, others) = rest.split_at(length);
        plain.extend(block(first));
        rest = others;
    }
    plain
}

/// How far its offset is from the batch's first, and the record.
fn take_record(from: &mut &[u8], base_timestamp: i64) -> (i64, Record) {
    let length = usize::try_from(take_varint(from)).expect("a record's length");
    let (mut record, rest) = from.split_at(length);
    *from = rest;
    record.advance(1);
    let timestamp = base_timestamp + take_varint(&mut record);
    let offset_delta = take_varint(&mut record);
    let key = take_field(&mut record);
    let value = take_field(&mut record);
    let count = take_varint(&mut record);
    let headers = (0..count)
        .map(|_| {
            let name = take_field(&mut record).expect("a header's name");
            (String::from_utf8(name).expect("UTF-8"), take_field(&mut record))
        })
        .collect();
    (offset_delta, Record { key, value, headers, timestamp })
}

fn take_field(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(take_varint(from)).ok()?;
    let (field, rest) = from.split_at(length);
    *from = rest;
    Some(field.to_vec())
}

fn put_field(to: &mut BytesMut, field: Option<&[u8]>) {
    put_varint(to, field.map_or(-1, |field| length(field.len())));
    to.put_slice(field.unwrap_or_default());
}

fn length(length: usize) -> i64 {
    i64::try_from(length).expect("a length in memory")
}

fn put_varint(to: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        to.put_u8(u8::try_from(zigzag & 0x7f).expect("seven bits") | 0x80);
        zigzag >>= 7;
    }
    to.put_u8(u8::try_from(zigzag).expect("seven bits"));
}

fn take_varint(from: &mut &[u8]) -> i64 {
    let mut zigzag = 0u64;
    let mut shift = 0;
    loop {
        let byte = from.get_u8();
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}
