//! How each column is encoded.
//!
//! | column | encoding | compressed |
//! | --- | --- | --- |
//! | offset, timestamp, batch base offset, sequence | DELTA_BINARY_PACKED: steps are small or equal | no: packed already |
//! | partition, timestamp type, epochs, producer id, codec | dictionary: runs of few values | no |
//! | transactional | PLAIN | zstd |
//! | key, value, header keys and values | DELTA_LENGTH_BYTE_ARRAY: lengths apart from the bytes | zstd |
//!
//! Offset and timestamp have statistics for every page, the other numbers for every row group. The byte columns
//! have none, so that no key or value is repeated in the footer; the key has a bloom filter.
//!
//! A page ends after [`SegmentOptions::page_rows`] rows and never for another reason, in every column, so that all
//! columns break at the same rows: the library's limits by bytes are out of reach, and byte columns have no
//! dictionary, which would end a page when it is full.

use super::SegmentOptions;
use crate::segment::schema::{LEAVES, Leaf};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

/// Far above what a page may hold ([`SegmentOptions`] sees to that), and within what a page's header can say.
const NO_BYTE_LIMIT: usize = i32::MAX as usize;

/// Past this a dictionary of numbers is given up: it would be read with every chunk.
const DICTIONARY_BYTES_MAX: usize = 16 * 1024;

/// One key in a hundred that is not there seems to be.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Keys of a row group for which the filter is sized at first; it shrinks to those that came.
const BLOOM_KEYS_MAX: u64 = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Delta,
    Dictionary,
    Flag,
    Bytes,
}

/// In the order of the file.
const FORMS: [Form; LEAVES] = [
    Form::Dictionary, // kafka_partition
    Form::Delta,      // kafka_offset
    Form::Delta,      // kafka_timestamp
    Form::Dictionary, // kafka_timestamp_type
    Form::Bytes,      // key
    Form::Bytes,      // value
    Form::Bytes,      // headers.element.key
    Form::Bytes,      // headers.element.value
    Form::Dictionary, // kafka_leader_epoch
    Form::Delta,      // kafka_batch_base_offset
    Form::Dictionary, // kafka_producer_id
    Form::Dictionary, // kafka_producer_epoch
    Form::Delta,      // kafka_sequence
    Form::Flag,       // kafka_transactional
    Form::Dictionary, // kafka_batch_codec
];

/// For a file of `schema`.
pub(super) fn properties(
    schema: &SchemaDescriptor,
    options: &SegmentOptions,
) -> Result<WriterProperties, ParquetError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?);
    let sorted = SortingColumn { column_idx: Leaf::Offset as i32, descending: false, nulls_first: false };
    let mut builder = WriterProperties::builder()
        .set_data_page_row_count_limit(options.page_rows)
        .set_data_page_size_limit(NO_BYTE_LIMIT)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        // A page's rows go to the encoders in one piece: they look at their limits in between.
        .set_write_batch_size(options.page_rows)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![sorted]));
    for (index, form) in FORMS.into_iter().enumerate() {
        builder = column(builder, schema.column(index).path().clone(), form, zstd);
    }
    for leaf in [Leaf::Offset, Leaf::Timestamp] {
        let path = schema.column(leaf as usize).path().clone();
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::Page);
    }
    let key = schema.column(Leaf::Key as usize).path().clone();
    builder = builder
        .set_column_bloom_filter_enabled(key.clone(), true)
        .set_column_bloom_filter_fpp(key.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(key, BLOOM_KEYS_MAX);
    Ok(builder.build())
}

fn column(
    builder: WriterPropertiesBuilder,
    path: ColumnPath,
    form: Form,
    zstd: Compression,
) -> WriterPropertiesBuilder {
    match form {
        Form::Delta => builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        Form::Dictionary => builder.set_column_dictionary_enabled(path, true),
        Form::Flag => builder.set_column_compression(path, zstd),
        Form::Bytes => builder
            .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_compression(path, zstd),
    }
}
