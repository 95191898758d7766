//! `cenote segment`: reads a segment's file with the broker's own reader, without a broker.

use super::error::CliError;
use super::format::{self, Format, Shown};
use super::options::Output;
use crate::segment::{ChunkId, DamagedSegment, LoadError, ReadAt, SegmentReader};
use crate::store::{ObjectPath, ObjectStore};
use crate::types::PartitionIndex;
use bytes::Bytes;
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use url::Url;

#[derive(Debug, Subcommand)]
pub(super) enum SegmentCommand {
    /// Write the records of a segment's file, which is checked on the way.
    Cat(CatArgs),
}

#[derive(Debug, Args)]
pub(super) struct CatArgs {
    /// A segment's file, by its path or URL, or by the URL of its object: `cenote topic files` prints where they are.
    file: String,
    /// How to write a record: value, key-value, json, or a pattern of %t topic, %p partition, %o offset, %T time,
    /// %k key, %K its length, %v value, %S its length, %h headers, %%, \n, \t [default: value, or json with
    /// --output json].
    #[arg(long, value_parser = format::parse, value_name = "FORMAT")]
    format: Option<Format>,
    /// How to answer: text for people, or a JSON object a record for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    output: Output,
}

/// Where the bytes are.
enum Source {
    /// In a file of this machine.
    File(File),
    /// In a bucket; the process's environment says who asks.
    Object(ObjectStore, ObjectPath),
}

struct Segment {
    source: Source,
    size: u64,
}

const OUTPUT_BUFFER_BYTES: usize = 256 << 10;
/// A topic's id is the end of its folder's name, after a `-`.
const ID_CHARS: usize = 32;

pub(super) async fn run(command: SegmentCommand) -> Result<(), CliError> {
    let SegmentCommand::Cat(args) = command;
    let failed = |why: &dyn std::fmt::Display| CliError::Failed(format!("{}: {why}", args.file));
    let default = if args.output == Output::Json { Format::Json } else { Format::Value };
    let format = args.format.clone().unwrap_or(default);
    let segment = Segment::open(&args.file).await.map_err(|error| failed(&error))?;
    let reader = SegmentReader::open(segment).await;
    let reader = reader.map_err(|error| failed(&said(&error)))?;
    let topic_partition = reader.footer().topic_partition();
    let topic = topic_of(&path_of(&args.file)).unwrap_or_else(|| topic_partition.topic_id.to_string());
    let mut out = io::BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, io::stdout());
    let chunks = reader.footer().chunks();
    for chunk in (chunks.start.0..chunks.end.0).map(ChunkId) {
        let rows = reader.rows(chunk).await.map_err(|error| failed(&said(&error)))?;
        for row in rows.iter() {
            let PartitionIndex(partition) = topic_partition.partition;
            format.write(&mut out, &topic, PartitionIndex(partition), &Shown::from(&row))?;
        }
    }
    Ok(out.flush()?)
}

/// The topic's name is in the path alone.
fn topic_of(file: &Path) -> Option<String> {
    let folder = file.parent()?.parent()?.file_name()?.to_str()?;
    let (name, id) = folder.split_at_checked(folder.len().checked_sub(ID_CHARS)?)?;
    let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_suffix('-').filter(|_| is_id).map(str::to_owned)
}

fn said(error: &LoadError<io::Error>) -> String {
    match error {
        LoadError::Read(error) => error.to_string(),
        LoadError::Damaged(error) => DamagedSegment::to_string(error),
    }
}

impl Segment {
    async fn open(place: &str) -> io::Result<Segment> {
        let Some((store, object)) = object_of(place) else {
            let file = File::open(path_of(place))?;
            let size = file.metadata()?.len();
            return Ok(Segment { source: Source::File(file), size });
        };
        let store = ObjectStore::open(&store).map_err(io::Error::other)?;
        let object = ObjectPath::parse(object).map_err(io::Error::other)?;
        let size = store.size(&object).await.map_err(io::Error::other)?;
        Ok(Segment { source: Source::Object(store, object), size })
    }
}

/// The path that a `file:///` URL stands for; anything else is one as it is.
fn path_of(place: &str) -> PathBuf {
    let url = Url::parse(place).ok().filter(|url| url.scheme() == "file");
    url.and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(place))
}

/// The folder and the name of an object, if that is what it is; a path of this machine otherwise.
fn object_of(place: &str) -> Option<(Url, &str)> {
    let (folder, name) = place.rsplit_once('/')?;
    let folder = Url::parse(folder).ok().filter(|folder| matches!(folder.scheme(), "s3" | "gs" | "az"))?;
    Some((folder, name))
}

impl ReadAt for Segment {
    type Error = io::Error;

    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        match &self.source {
            Source::File(file) => {
                let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, range.start)?;
                Ok(bytes.into())
            }
            Source::Object(store, object) => store.get_range(object, range).await.map_err(io::Error::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{object_of, path_of, topic_of};
    use std::path::Path;

    #[test]
    fn a_topics_name_is_read_from_the_path_where_it_is_there() {
        let id = "0123456789abcdef0123456789abcdef";
        for (path, name) in [
            (format!("/d/topics/a-b-{id}/partition=0/x.parquet"), Some("a-b")),
            (format!("topics/{id}/partition=0/x.parquet"), None),
            ("x.parquet".to_owned(), None),
            ("/home/someone/files/x.parquet".to_owned(), None),
            (format!("s3://bucket/prefix/topics/a-{id}/partition=0/x.parquet"), Some("a")),
        ] {
            assert_eq!(topic_of(Path::new(&path)).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_file_is_named_by_its_path_or_by_its_url() {
        for (place, path) in [
            ("file:///a/b%20c/x.parquet", "/a/b c/x.parquet"),
            ("file://localhost/a/x.parquet", "/a/x.parquet"),
            ("/a/b%20c/x.parquet", "/a/b%20c/x.parquet"),
            ("x.parquet", "x.parquet"),
            ("file:x/y.parquet", "/x/y.parquet"),
            ("file://elsewhere/x.parquet", "file://elsewhere/x.parquet"),
        ] {
            assert_eq!(path_of(place), Path::new(path), "{place}");
        }
    }

    #[test]
    fn a_url_names_an_object_and_anything_else_a_file() {
        for (place, found) in [
            ("s3://bucket/a/partition=0/x.parquet", Some(("s3://bucket/a/partition=0", "x.parquet"))),
            ("gs://bucket/x.parquet", Some(("gs://bucket", "x.parquet"))),
            ("file:///a/x.parquet", None),
            ("/a/s3:/x.parquet", None),
            ("x.parquet", None),
        ] {
            let parsed = object_of(place);
            assert_eq!(parsed.as_ref().map(|(folder, name)| (folder.as_str(), *name)), found, "{place}");
        }
    }
}
