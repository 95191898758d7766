//! `cenote transaction`.

use super::error::CliError;
use super::options::{Common, Output};
use super::table::Table;
use crate::client::{AbortOutcome, Admin, TransactionDescription};
use crate::types::PartitionIndex;
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::{self, Write};

#[derive(Debug, Subcommand)]
pub(super) enum TransactionCommand {
    /// List transactional ids, with their producer and state.
    List {
        /// Only those in this state: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit or CompleteAbort.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Show the transaction of a transactional id: its producer, when it began, and where it writes.
    Describe {
        /// The id.
        transactional_id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Abort the open transaction of a transactional id. Its producer is fenced: the application has to start it anew.
    ///
    /// Where nothing is open, nothing is done.
    Abort {
        /// The id.
        transactional_id: String,
        #[command(flatten)]
        common: Common,
    },
}

const STATES: [&str; 6] =
    ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"];

pub(super) async fn run(command: TransactionCommand) -> Result<(), CliError> {
    match command {
        TransactionCommand::List { state, common } => list(state.as_deref(), &common).await,
        TransactionCommand::Describe { transactional_id, common } => {
            let described =
                Admin::new(&common.connect().await?).describe_transaction(&transactional_id).await?;
            show(&described, common.output)
        }
        TransactionCommand::Abort { transactional_id, common } => {
            let outcome = Admin::new(&common.connect().await?).abort_transaction(&transactional_id).await?;
            tell_abort(&transactional_id, outcome, common.output)
        }
    }
}

fn tell_abort(transactional_id: &str, outcome: AbortOutcome, output: Output) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match (output, outcome) {
        (Output::Text, AbortOutcome::Aborted) => {
            writeln!(out, "aborted what was open of transactional id {transactional_id}")?;
        }
        (Output::Text, AbortOutcome::NothingOpen) => {
            writeln!(out, "nothing was open of transactional id {transactional_id}; nothing was done")?;
        }
        (Output::Json, AbortOutcome::Aborted) => writeln!(out, "{}", json!({ "aborted": transactional_id }))?,
        (Output::Json, AbortOutcome::NothingOpen) => writeln!(out, "{}", json!({ "aborted": null }))?,
    }
    Ok(())
}

async fn list(state: Option<&str>, common: &Common) -> Result<(), CliError> {
    if let Some(unknown) = state.filter(|state| !STATES.contains(state)) {
        let accepted = STATES.join(", ");
        return Err(CliError::Usage(format!("--state: {unknown:?} is no state; accepted: {accepted}")));
    }
    let listed = Admin::new(&common.connect().await?).list_transactions(state).await?;
    let mut out = io::stdout().lock();
    if common.output == Output::Json {
        let rows = listed.iter().map(|row| {
            json!({
                "transactional_id": row.transactional_id,
                "producer_id": row.producer_id.0,
                "state": row.state,
            })
        });
        writeln!(out, "{}", Value::from_iter(rows))?;
        return Ok(());
    }
    let mut table = Table::new(&["TRANSACTIONAL-ID", "PRODUCER-ID", "STATE"]);
    for row in listed {
        table.row([row.transactional_id, row.producer_id.0.to_string(), row.state]);
    }
    Ok(table.write(&mut out)?)
}

fn show(described: &TransactionDescription, output: Output) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let started_ms = described.started_at.map(|at| at.0);
    if output == Output::Json {
        let partitions = described.partitions.iter().map(|(topic, partitions)| {
            json!({ "topic": topic, "partitions": partitions.iter().map(|index| index.0).collect::<Vec<_>>() })
        });
        let value = json!({
            "transactional_id": described.transactional_id,
            "producer_id": described.producer_id.0,
            "producer_epoch": described.producer_epoch.0,
            "state": described.state,
            "timeout_ms": u64::try_from(described.timeout.as_millis()).unwrap_or(u64::MAX),
            "started_ms": started_ms,
            "partitions": partitions.collect::<Vec<_>>(),
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let mut table = Table::new(&[
        "TRANSACTIONAL-ID",
        "STATE",
        "PRODUCER-ID",
        "EPOCH",
        "TIMEOUT-MS",
        "STARTED-MS",
        "PARTITIONS",
    ]);
    let partitions =
        described.partitions.iter().map(|(topic, partitions)| format!("{topic}:{}", numbers(partitions)));
    table.row([
        described.transactional_id.clone(),
        described.state.clone(),
        described.producer_id.0.to_string(),
        described.producer_epoch.0.to_string(),
        described.timeout.as_millis().to_string(),
        started_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        partitions.collect::<Vec<_>>().join(" "),
    ]);
    Ok(table.write(&mut out)?)
}

fn numbers(partitions: &[PartitionIndex]) -> String {
    partitions.iter().map(|index| index.0.to_string()).collect::<Vec<_>>().join(",")
}
