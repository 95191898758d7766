//! `cenote fsck`: checks a stopped broker's stores.

use super::error::CliError;
use super::identity::check_metadata_files;
use super::options::Output;
use super::serve::{self, ServeArgs};
use crate::archive::{Count, FsckReport, Repair, fsck};
use crate::config::{Config, MetadataConfig};
use crate::meta::keys::{alive, sessions};
use crate::meta::{EmbeddedStore, EtcdStore, MetadataStore, OpenError};
use crate::metrics::Metrics;
use crate::store::ObjectStore;
use clap::Args;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Delete what nothing refers to, if nothing else is wrong.
    #[arg(long)]
    repair: bool,
    /// How to answer: text for people, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "HOW")]
    output: Output,
}

pub(super) async fn run(args: FsckArgs) -> Result<(), CliError> {
    let (config, sources) = serve::settings(&args.serve)?;
    check_metadata_files(&config, &sources)?;
    let repair = if args.repair { Repair::DeleteOrphans } else { Repair::No };
    let metadata = open_metadata(&config, repair).await?;
    if config.mesh.is_some()
        && let Some(note) = who_runs(metadata.as_ref()).await?
    {
        super::complain(&note);
    }
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let store = ObjectStore::open(&config.store).map_err(|error| failed(&error))?;
    let report = fsck(metadata, &store, repair).await.map_err(|error| failed(&error))?;
    let mut out = io::stdout().lock();
    match args.output {
        Output::Text => write_text(&mut out, &report, repair)?,
        Output::Json => {
            let document = serde_json::to_string(&report).map_err(|error| failed(&error))?;
            writeln!(out, "{document}")?;
        }
    }
    match report.problems_total {
        0 => Ok(()),
        1 => Err(CliError::Failed("there is 1 problem".to_owned())),
        problems => Err(CliError::Failed(format!("there are {problems} problems"))),
    }
}

/// What to say if brokers run meanwhile, as they may where the metadata is not below a lock of ours.
async fn who_runs(metadata: &dyn MetadataStore) -> Result<Option<String>, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let alive = metadata.list(alive::PREFIX).await.map_err(|error| failed(&error))?;
    let sessions = metadata.list(sessions::PREFIX).await.map_err(|error| failed(&error))?;
    let alive: BTreeSet<_> = alive.entries.iter().filter_map(|entry| alive::session_of(&entry.key)).collect();
    let mut brokers = BTreeSet::new();
    for entry in &sessions.entries {
        if sessions::session_of(&entry.key).is_some_and(|session| alive.contains(&session)) {
            let session = sessions::Session::decode(entry).map_err(|error| failed(&error))?;
            brokers.insert(session.broker_id.0);
        }
    }
    let brokers: Vec<String> = brokers.iter().map(ToString::to_string).collect();
    Ok((!brokers.is_empty()).then(|| {
        format!(
            "note: brokers run ({}); what they store during the check may be counted as orphans, and what they delete may \
             be missed: look again before you believe a problem",
            brokers.join(", ")
        )
    }))
}

/// Opens what is there, and makes nothing.
async fn open_metadata(config: &Config, repair: Repair) -> Result<Arc<dyn MetadataStore>, CliError> {
    if config.store.scheme() == "memory" {
        return Err(CliError::Usage("--store is memory:, of which nothing is left to check".to_owned()));
    }
    if let MetadataConfig::Etcd(etcd) = &config.metadata {
        // Whether brokers still write cannot be seen from here, as the lock of the embedded store shows it.
        if repair == Repair::DeleteOrphans {
            return Err(CliError::Usage(
                "--repair needs metadata below --data, whose lock shows that no broker runs; with metadata on etcd a \
                 broker deletes what nothing refers to itself, a minute after its next start"
                    .to_owned(),
            ));
        }
        let store = EtcdStore::open(etcd, &Metrics::new().metadata).await;
        return Ok(Arc::new(store.map_err(|error| CliError::Failed(error.to_string()))?));
    }
    let directory = config.data.join("metadata");
    let missing = |what: &dyn std::fmt::Display, setting: &str| {
        CliError::Failed(format!("there is no {what}: does --{setting} name what the broker ran with?"))
    };
    if !directory.is_dir() {
        return Err(missing(&directory.display(), "data"));
    }
    if config.store.to_file_path().is_ok_and(|path| config.store.scheme() == "file" && !path.is_dir()) {
        return Err(missing(&config.store, "store"));
    }
    let store = EmbeddedStore::open(&directory).map_err(|error| match error {
        OpenError::InUse { .. } => CliError::Failed(format!("{error}: stop it first")),
        OpenError::Unusable { .. } => CliError::Failed(error.to_string()),
    })?;
    Ok(Arc::new(store))
}

fn write_text(out: &mut impl Write, report: &FsckReport, repair: Repair) -> io::Result<()> {
    let checked = &report.checked;
    writeln!(out, "cluster    {}", report.cluster_id)?;
    writeln!(out, "topics     {}, {} partitions with a manifest", checked.topics, checked.partitions)?;
    writeln!(out, "manifests  {} objects", checked.manifest_objects)?;
    let (segments, rows, bytes) = (checked.segments, checked.rows, checked.segment_bytes);
    writeln!(out, "segments   {segments} files, {rows} rows, {bytes} bytes")?;
    writeln!(out, "journal    {} objects, {} bytes", checked.journal_objects, checked.journal_bytes)?;
    let orphans = report.orphans;
    for (what, count) in [
        ("orphans: segments", orphans.segments),
        ("orphans: manifest objects", orphans.manifests),
        ("orphans: journal objects", orphans.journal),
        ("orphans: half-written files", orphans.unfinished),
        ("of deleted topics, gone after the next start", report.deleted_topics),
        ("not ours, left alone", report.strangers),
        ("deleted", report.repaired),
    ] {
        if count != Count::default() {
            writeln!(out, "{what}: {} objects, {} bytes", count.objects, count.bytes)?;
        }
    }
    for problem in &report.problems {
        writeln!(out, "PROBLEM {}: {}", problem.place, problem.problem)?;
    }
    let hidden = report.problems_total - report.problems.len() as u64;
    if hidden > 0 {
        writeln!(out, "PROBLEM … and {hidden} more")?;
    }
    let is_clean = report.problems_total == 0;
    if repair == Repair::DeleteOrphans && !is_clean {
        writeln!(out, "nothing was deleted, because of the problems")?;
    }
    writeln!(out, "{}", if is_clean { "clean" } else { "not clean" })
}
