mod serve_args;

use super::consume::parse_start;
use super::error::{one_line, said_once};
use super::format::{self, Format};
use super::{Cli, options};
use crate::client::StartAt;
use crate::types::{Offset, PartitionIndex, Timestamp};
use crate::wire::batch::{BatchBuilder, Codec, DecodedBatch, Header, NO_PRODUCER};
use clap::CommandFactory;
use std::ffi::{OsStr, OsString};

fn parse(arguments: &str) -> Result<Cli, clap::Error> {
    super::parse(std::iter::once("cenote").chain(arguments.split(' ')).map(OsString::from))
}

fn written(pattern: &str) -> String {
    let mut builder = BatchBuilder::new();
    let header = Header { key: b"h", value: Some(b"1") };
    builder.append(Timestamp(42), Some(b"k\"ey"), Some(b"val"), &[header]);
    let batch = DecodedBatch::decode(&builder.finish(Codec::None, NO_PRODUCER), 1000).expect("it is a batch");
    let mut out = Vec::new();
    for record in batch.records() {
        let format = format::parse(pattern).expect("a legal format");
        let record = record.expect("a record");
        format
            .write(&mut out, "t", PartitionIndex(3), &format::Shown::from(&record))
            .expect("memory takes it");
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_record_is_written_as_asked() {
    for (pattern, expected) in [
        ("value", "val\n"),
        ("key-value", "k\"ey\tval\n"),
        ("%t-%p@%o %T %k(%K)=%v(%S) [%h] 100%%\\n", "t-3@0 42 k\"ey(4)=val(3) [h=1] 100%\n"),
    ] {
        assert_eq!(written(pattern), expected, "{pattern}");
    }
    let json: serde_json::Value = serde_json::from_str(&written("json")).expect("json");
    assert_eq!((json["partition"].as_i64(), json["key"].as_str()), (Some(3), Some("k\"ey")));
    assert_eq!(format::parse("json"), Ok(Format::Json));
}

#[test]
fn a_start_is_an_offset_a_count_or_a_time() {
    for (text, start) in [
        ("earliest", StartAt::Earliest),
        ("17", StartAt::Offset(Offset(17))),
        ("-5", StartAt::FromEnd(5)),
        ("@1500", StartAt::Time(Timestamp(1500))),
        ("1970-01-01T00:00:01Z", StartAt::Time(Timestamp(1000))),
        ("2000-02-29T12:30:00.25+02:00", StartAt::Time(Timestamp(951_820_200_250))),
        ("2026-11-21T00:00:00Z", StartAt::Time(Timestamp(1_795_219_200_000))),
    ] {
        assert_eq!(parse_start(text), Ok(start), "{text}");
    }
}

#[test]
fn a_bad_argument_gives_one_line_that_names_it() {
    for (arguments, named) in [
        ("consume t --from yesterday", "yesterday"),
        ("consume t --from 2026-13-01T00:00:00Z", "2026-13"),
        ("consume t --format %q", "%q"),
        ("consume t --partition x", "it is not a number"),
        ("topic create t --partitions six", "'six' for '--partitions <N>': it is not a number"),
        ("consume t --until end --follow", "--follow"),
        ("produce", "TOPIC"),
        ("produce t --codec brotli", "brotli"),
        ("produce t --acks 2", "all, 1 or 0"),
        ("produce t --header novalue", "KEY=VALUE"),
        ("produce t --linger 5x", "it is not a duration; accepted: 0, 5ms"),
        ("produce t --batch-bytes many", "it is not a size; accepted: 0, 65536"),
        ("topic create t --partitions 0", "0"),
        ("topic alter t", "--set"),
        ("consume t --group g --partition 0", "--partition"),
        ("group describe", "GROUP"),
        ("group reset g --to-latest", "--topic"),
        ("group reset g --topic t --all-topics --to-latest", "--all-topics"),
        ("group reset g --topic t", "--to-earliest"),
        ("group reset g --topic t --to-earliest --shift-by 1", "--shift-by"),
        ("group reset g --topic t:x --to-earliest", "TOPIC:0,1"),
        ("group reset g --topic t --to-time soon", "soon"),
        ("group reset g --topic t --to-offset -1", "-1"),
        ("group delete", "GROUP"),
        ("topic list --bootstrap nowhere", "quic://host:port"),
        ("topic list --tls-fingerprint abc", "64 hexadecimal"),
        ("topic list --tls-insecure --tls-ca f", "--tls-ca"),
        ("fly", "fly"),
    ] {
        let error = parse(arguments).expect_err("it is wrong").to_string();
        let line = one_line(&error);
        assert!(!line.contains('\n') && line.contains(named), "{arguments:?}: {line}");
    }
}

#[test]
fn a_negative_number_is_a_value_and_what_is_wrong_with_it_is_said() {
    for (arguments, option) in [
        ("topic create t --partitions -1", "--partitions"),
        ("topic create t --replication-factor -1", "--replication-factor"),
        ("topic alter t --partitions -1", "--partitions"),
        ("consume t --partition -1", "--partition"),
        ("consume t --count -1", "--count"),
        ("produce t --partition -1", "--partition"),
        ("produce t --linger -1", "--linger"),
        ("produce t --batch-bytes -1", "--batch-bytes"),
        ("bench produce --records -1", "--records"),
        ("group reset g --topic t --to-offset -1", "--to-offset"),
        ("group reset g --topic t --to-time -1", "--to-time"),
    ] {
        let line = one_line(&parse(arguments).expect_err("it is wrong").to_string());
        assert!(line.starts_with("invalid value '-1' for '") && line.contains(option), "{arguments}: {line}");
    }
    for arguments in [
        "consume t --from -5",
        "produce t --acks -1",
        "topic create t --set retention.ms=-1",
        "serve --partitions -1",
    ] {
        parse(arguments).expect(arguments);
    }
    // What only begins like a number is none, and a flag stays a flag.
    parse("consume t --from --until end").expect_err("no value");
}

#[test]
fn an_unknown_flag_comes_with_what_is_near_to_it() {
    let line = one_line(&parse("consume t --form 3").expect_err("it is wrong").to_string());
    assert_eq!(line, "unexpected argument '--form' found; a similar argument exists: '--from'");
    let line = one_line(&parse("consume t --offset 3").expect_err("it is wrong").to_string());
    assert_eq!(line, "unexpected argument '--offset' found");
}

#[test]
fn no_color_is_heeded_when_it_is_not_empty() {
    assert!(super::forbids_colour(Some(OsStr::new("1"))));
    assert!(!super::forbids_colour(Some(OsStr::new(""))) && !super::forbids_colour(None));
}

#[test]
fn sizes_and_times_have_units() {
    assert_eq!(options::parse_size("64k"), Ok(65_536));
    assert_eq!(options::parse_duration("2m"), Ok(std::time::Duration::from_secs(120)));
    assert_eq!(options::parse_duration("250"), Ok(std::time::Duration::from_millis(250)), "milliseconds");
    assert!(options::parse_size("k").is_err() && options::parse_duration("-1s").is_err());
}

#[test]
fn a_reset_may_go_back_and_take_some_partitions() {
    parse("group reset g --topic t:0,2 --topic u --shift-by -5").expect("it is right");
    let choice = super::group::parse_topic("t:0,2").expect("it is right");
    assert!(choice.has("t", PartitionIndex(2)) && !choice.has("t", PartitionIndex(1)));
    assert!(!choice.has("u", PartitionIndex(0)));
}

#[test]
fn an_error_names_each_of_its_causes_once() {
    let inner = std::io::Error::other("the disk is full");
    let error = anyhow::Error::new(inner).context("the put failed: the disk is full");
    assert_eq!(said_once(&error), "the put failed: the disk is full");
    let error = error.context("no broker");
    assert_eq!(said_once(&error), "no broker: the put failed: the disk is full");
}
