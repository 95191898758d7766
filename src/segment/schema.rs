//! The columns of a segment, as Arrow and as Parquet have them.
//!
//! Flat and portable: no map, no nested type but the list of headers, no type that only one engine knows. Field ids
//! are Iceberg's, numbered in the order of the columns, nested ones included; a new column takes the next number.
//!
//! `key`, `value` and a header's key are BYTE_ARRAY. Whether such a column is annotated as a string is decided for
//! a whole *file*, when it is complete: only if every value in it is valid UTF-8 (and, for key and value, if the
//! topic asks for text). A Parquet column has one type, a reader may check it, and engines refuse a file whose
//! strings are none; so one record that is not text makes its column binary in that file, and nothing else changes:
//! the bytes of the pages are the same. Readers here take both.

use super::error::DamagedSegment;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::{ArrowSchemaConverter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescriptor;
use std::collections::HashMap;
use std::sync::Arc;

/// Which of the byte columns are annotated as strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextColumns {
    /// `key`.
    pub key: bool,
    /// `value`.
    pub value: bool,
    /// `headers.element.key`.
    pub header_key: bool,
}

/// The leaf columns, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Leaf {
    Offset = 1,
    Timestamp = 2,
    Key = 4,
    Value = 5,
    HeaderKey = 6,
}

/// How many leaf columns.
pub(super) const LEAVES: usize = 15;

/// The name of the root of the Parquet schema.
const ROOT: &str = "record";

/// How byte columns appear in Arrow arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Offsets and one buffer, as they are written.
    Contiguous,
    /// Views into the decoded pages: nothing is copied in reading.
    Views,
}

/// The Arrow schema, as other readers of the file see it.
#[must_use]
pub fn arrow_schema(text: TextColumns) -> Schema {
    Schema::new(fields(text, Layout::Contiguous))
}

pub(super) fn fields(text: TextColumns, layout: Layout) -> Fields {
    let header = DataType::Struct(Fields::from(vec![
        field(9, "key", bytes(text.header_key, layout), false),
        field(10, "value", bytes(false, layout), true),
    ]));
    Fields::from(vec![
        field(1, "kafka_partition", DataType::Int32, false),
        field(2, "kafka_offset", DataType::Int64, false),
        field(3, "kafka_timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        field(4, "kafka_timestamp_type", DataType::Int32, false),
        field(5, "key", bytes(text.key, layout), true),
        field(6, "value", bytes(text.value, layout), true),
        field(7, "headers", DataType::List(field(8, "element", header, false)), false),
        field(11, "kafka_leader_epoch", DataType::Int32, false),
        field(12, "kafka_batch_base_offset", DataType::Int64, false),
        field(13, "kafka_producer_id", DataType::Int64, false),
        field(14, "kafka_producer_epoch", DataType::Int32, false),
        field(15, "kafka_sequence", DataType::Int32, false),
        field(16, "kafka_transactional", DataType::Boolean, false),
        field(17, "kafka_batch_codec", DataType::Int32, false),
    ])
}

fn field(id: i32, name: &str, data_type: DataType, nullable: bool) -> FieldRef {
    let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string());
    Arc::new(Field::new(name, data_type, nullable).with_metadata(HashMap::from([id])))
}

fn bytes(text: bool, layout: Layout) -> DataType {
    match (layout, text) {
        (Layout::Contiguous, false) => DataType::Binary,
        (Layout::Contiguous, true) => DataType::Utf8,
        (Layout::Views, false) => DataType::BinaryView,
        (Layout::Views, true) => DataType::Utf8View,
    }
}

/// The Parquet schema.
pub fn parquet_schema(text: TextColumns) -> Result<SchemaDescriptor, ParquetError> {
    ArrowSchemaConverter::new().schema_root(ROOT).convert(&arrow_schema(text))
}

/// Which columns of a file's schema are text, if it is a segment's schema.
pub(super) fn text_columns(schema: &SchemaDescriptor) -> Result<TextColumns, DamagedSegment> {
    let leaves = schema.columns();
    if leaves.len() != LEAVES {
        return Err(DamagedSegment::new(format_args!("{} columns instead of {LEAVES}", leaves.len())));
    }
    let is_text = |leaf: Leaf| matches!(leaves[leaf as usize].logical_type_ref(), Some(LogicalType::String));
    let text = TextColumns {
        key: is_text(Leaf::Key),
        value: is_text(Leaf::Value),
        header_key: is_text(Leaf::HeaderKey),
    };
    if parquet_schema(text)?.root_schema() == schema.root_schema() {
        Ok(text)
    } else {
        Err(DamagedSegment::new("its columns are not those of a segment"))
    }
}

#[cfg(test)]
mod tests;
