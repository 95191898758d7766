//! `cenote topic files`: the exact list of a topic's segments, for engines that read Parquet.

use crate::cli::admin_door::AdminDoor;
use crate::cli::error::CliError;
use crate::cli::options::Output;
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};
use url::Url;

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// The topic's name.
    name: String,
    /// This partition alone.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    #[command(flatten)]
    door: AdminDoor,
    /// How to answer: a file a line, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    output: Output,
}

pub(super) async fn run(args: FilesArgs) -> Result<(), CliError> {
    let found = args.door.segments(&args.name, args.partition).await?.whole()?;
    let place = Place::of(&found.store)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut files = Vec::new();
    for partition in &found.partitions {
        for segment in &partition.segments {
            let file = place.file(&segment.path);
            if args.output == Output::Text {
                writeln!(out, "{file}")?;
                continue;
            }
            files.push(json!({
                "file": file,
                "partition": partition.partition,
                "base_offset": segment.base_offset,
                "end_offset": segment.end_offset,
                "rows": segment.rows,
                "bytes": segment.bytes,
                "min_timestamp": segment.min_timestamp,
                "max_timestamp": segment.max_timestamp,
                "level": segment.level,
            }));
        }
    }
    if args.output == Output::Json {
        writeln!(out, "{}", json!({ "topic": args.name, "files": Value::from(files) }))?;
    }
    Ok(out.flush()?)
}

/// What goes before the path of an object, so that an engine finds it: a directory's path, or a bucket's URL.
struct Place(String);

impl Place {
    fn of(store: &str) -> Result<Place, CliError> {
        let url = Url::parse(store).map_err(|error| CliError::Failed(format!("{store:?}: {error}")))?;
        let place = match url.scheme() {
            "memory" => {
                let why = "the broker's store is its memory, where nobody else can read";
                return Err(CliError::Failed(why.to_owned()));
            }
            "file" => url.to_file_path().ok().and_then(|path| path.to_str().map(str::to_owned)),
            _ => None,
        };
        Ok(Place(place.unwrap_or_else(|| store.to_owned()).trim_end_matches('/').to_owned()))
    }

    fn file(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn files_are_named_as_engines_take_them() {
        for (store, file) in [
            ("file:///data/a%20b/", "/data/a b/topics/x"),
            ("file:///data", "/data/topics/x"),
            ("s3://bucket", "s3://bucket/topics/x"),
            ("s3://bucket/some/prefix/", "s3://bucket/some/prefix/topics/x"),
        ] {
            assert_eq!(Place::of(store).expect("a store").file("topics/x"), file);
        }
        assert!(Place::of("memory:").is_err());
    }
}
