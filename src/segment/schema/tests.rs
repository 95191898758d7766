use super::*;

/// As [`parquet::schema::printer`] shows it: a file that differs is another format.
const GOLDEN: &str = "\
message record {
  REQUIRED INT32 kafka_partition [1];
  REQUIRED INT64 kafka_offset [2];
  REQUIRED INT64 kafka_timestamp [3] (TIMESTAMP(MICROS,true));
  REQUIRED INT32 kafka_timestamp_type [4];
  OPTIONAL BYTE_ARRAY key [5];
  OPTIONAL BYTE_ARRAY value [6];
  REQUIRED group headers [7] (LIST) {
    REPEATED group list {
      REQUIRED group element [8] {
        REQUIRED BYTE_ARRAY key [9] (STRING);
        OPTIONAL BYTE_ARRAY value [10];
      }
    }
  }
  REQUIRED INT32 kafka_leader_epoch [11];
  REQUIRED INT64 kafka_batch_base_offset [12];
  REQUIRED INT64 kafka_producer_id [13];
  REQUIRED INT32 kafka_producer_epoch [14];
  REQUIRED INT32 kafka_sequence [15];
  REQUIRED BOOLEAN kafka_transactional [16];
  REQUIRED INT32 kafka_batch_codec [17];
}
";

fn printed(text: TextColumns) -> String {
    let mut out = Vec::new();
    let schema = parquet_schema(text).expect("a legal schema");
    parquet::schema::printer::print_schema(&mut out, schema.root_schema());
    String::from_utf8(out).expect("it prints text")
}

#[test]
fn the_schema_stays_as_it_is() {
    assert_eq!(printed(TextColumns { header_key: true, ..TextColumns::default() }), GOLDEN);
}

#[test]
fn text_changes_the_annotation_of_key_and_value_only() {
    let text = printed(TextColumns { key: true, value: true, header_key: true });
    let expected = GOLDEN.replace("BYTE_ARRAY key [5]", "BYTE_ARRAY key [5] (STRING)");
    assert_eq!(text, expected.replace("BYTE_ARRAY value [6]", "BYTE_ARRAY value [6] (STRING)"));
}

#[test]
fn every_choice_of_text_columns_is_recognised() {
    for bits in 0..8 {
        let text = TextColumns { key: bits & 1 > 0, value: bits & 2 > 0, header_key: bits & 4 > 0 };
        assert_eq!(text_columns(&parquet_schema(text).unwrap()), Ok(text));
    }
}

#[test]
fn another_schema_is_refused() {
    let fields: Vec<FieldRef> = fields(TextColumns::default(), Layout::Contiguous).iter().cloned().collect();
    let fewer = Schema::new(fields[..13].to_vec());
    assert!(text_columns(&ArrowSchemaConverter::new().convert(&fewer).unwrap()).is_err());
    let mut other = fields;
    other[1] = Arc::new(other[1].as_ref().clone().with_name("offset"));
    let other = ArrowSchemaConverter::new().schema_root(ROOT).convert(&Schema::new(other)).unwrap();
    assert!(text_columns(&other).is_err());
}
