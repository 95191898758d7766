//! How a record is written: its value, key and value, JSON, or a pattern as kcat has them.

use crate::segment::{Row, RowHeaders};
use crate::types::{Offset, PartitionIndex, Timestamp};
use crate::wire::batch::Record;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// A way to write records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The value and a line feed.
    Value,
    /// Key, tab, value, line feed.
    KeyValue,
    /// One JSON object a line. Bytes that are not UTF-8 are replaced.
    Json,
    /// A pattern.
    Pattern(Vec<Token>),
}

/// What is written of a record, wherever it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    offset: Offset,
    timestamp: Timestamp,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: RowHeaders<'a>,
}

impl<'a> From<&Record<'a>> for Shown<'a> {
    fn from(record: &Record<'a>) -> Shown<'a> {
        let Record { offset, timestamp, key, value, headers } = *record;
        Shown { offset, timestamp, key, value, headers: RowHeaders::of_record(headers) }
    }
}

impl<'a> From<&Row<'a>> for Shown<'a> {
    fn from(row: &Row<'a>) -> Shown<'a> {
        let Row { offset, timestamp, key, value, headers, .. } = *row;
        Shown { offset, timestamp, key, value, headers }
    }
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyBytes,
    Value,
    ValueBytes,
    Headers,
}

/// `value`, `key-value`, `json`, or a pattern with `%` tokens.
pub(super) fn parse(text: &str) -> Result<Format, String> {
    match text {
        "value" => Ok(Format::Value),
        "key-value" => Ok(Format::KeyValue),
        "json" => Ok(Format::Json),
        pattern if pattern.contains('%') => parse_pattern(pattern).map(Format::Pattern),
        _ => Err("expected value, key-value, json, or a pattern of %t %p %o %T %k %K %v %S %h %%".to_owned()),
    }
}

fn parse_pattern(pattern: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let token = match letter {
            '%' => match letters.next() {
                Some('%') => None,
                Some(letter) => Some(token(letter).ok_or_else(|| unknown(&format!("%{letter}")))?),
                None => return Err(unknown("%")),
            },
            '\\' => {
                text.push(match letters.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('0') => '\0',
                    Some('\\') | None => '\\',
                    Some(other) => return Err(format!("\\{other} is none of \\n \\r \\t \\0 \\\\")),
                });
                continue;
            }
            other => {
                text.push(other);
                continue;
            }
        };
        let Some(token) = token else {
            text.push('%');
            continue;
        };
        if !text.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut text).into_bytes()));
        }
        tokens.push(token);
    }
    if !text.is_empty() {
        tokens.push(Token::Text(text.into_bytes()));
    }
    Ok(tokens)
}

fn unknown(token: &str) -> String {
    format!("{token} is none of %t %p %o %T %k %K %v %S %h %%")
}

fn token(letter: char) -> Option<Token> {
    Some(match letter {
        't' => Token::Topic,
        'p' => Token::Partition,
        'o' => Token::Offset,
        'T' => Token::Timestamp,
        'k' => Token::Key,
        'K' => Token::KeyBytes,
        'v' | 's' => Token::Value,
        'S' => Token::ValueBytes,
        'h' => Token::Headers,
        _ => return None,
    })
}

impl Format {
    /// Writes one record.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        topic: &str,
        partition: PartitionIndex,
        record: &Shown<'_>,
    ) -> io::Result<()> {
        match self {
            Format::Value => {
                out.write_all(record.value.unwrap_or_default())?;
                out.write_all(b"\n")
            }
            Format::KeyValue => {
                out.write_all(record.key.unwrap_or_default())?;
                out.write_all(b"\t")?;
                out.write_all(record.value.unwrap_or_default())?;
                out.write_all(b"\n")
            }
            Format::Json => writeln!(out, "{}", to_json(topic, partition, record)),
            Format::Pattern(tokens) => {
                tokens.iter().try_for_each(|token| write_token(out, token, topic, partition, record))
            }
        }
    }
}

fn write_token(
    out: &mut impl Write,
    token: &Token,
    topic: &str,
    partition: PartitionIndex,
    record: &Shown<'_>,
) -> io::Result<()> {
    let length = |bytes: Option<&[u8]>| bytes.map_or("-1".to_owned(), |bytes| bytes.len().to_string());
    match token {
        Token::Text(text) => out.write_all(text),
        Token::Topic => out.write_all(topic.as_bytes()),
        Token::Partition => write!(out, "{partition}"),
        Token::Offset => write!(out, "{}", record.offset),
        Token::Timestamp => write!(out, "{}", record.timestamp.get()),
        Token::Key => out.write_all(record.key.unwrap_or_default()),
        Token::KeyBytes => out.write_all(length(record.key).as_bytes()),
        Token::Value => out.write_all(record.value.unwrap_or_default()),
        Token::ValueBytes => out.write_all(length(record.value).as_bytes()),
        Token::Headers => {
            for (index, header) in record.headers.enumerate() {
                out.write_all(if index == 0 { b"" } else { b"," })?;
                out.write_all(header.key)?;
                out.write_all(b"=")?;
                out.write_all(header.value.unwrap_or(b"NULL"))?;
            }
            Ok(())
        }
    }
}

fn to_json(topic: &str, partition: PartitionIndex, record: &Shown<'_>) -> Value {
    let text =
        |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into());
    let headers: Vec<Value> = record
        .headers
        .map(|header| {
            let mut object = Map::new();
            object.insert("key".to_owned(), text(Some(header.key)));
            object.insert("value".to_owned(), text(header.value));
            Value::Object(object)
        })
        .collect();
    json!({
        "topic": topic,
        "partition": partition.0,
        "offset": record.offset.get(),
        "timestamp": record.timestamp.get(),
        "key": text(record.key),
        "value": text(record.value),
        "headers": headers,
    })
}
