//! `cenote config`: the settings as they hold, and where each came from.

use super::table::Table;
use crate::config::{Effective, Sources};
use std::io::{self, Write};

/// How the settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFormat {
    /// For people: a table.
    Human,
    /// One JSON object: key to value and source.
    Json,
}

/// Prints `sources` to `out`.
pub fn print_config(out: &mut dyn Write, sources: &Sources, format: ConfigFormat) -> io::Result<()> {
    match format {
        ConfigFormat::Human => table(sources).write(out),
        ConfigFormat::Json => {
            let entries = sources.iter().map(|setting| (setting.key.to_owned(), json(setting)));
            let object = serde_json::Value::Object(entries.collect());
            writeln!(out, "{object:#}")
        }
    }
}

fn table(sources: &Sources) -> Table {
    let mut table = Table::new(&["SETTING", "VALUE", "SOURCE"]);
    for setting in sources {
        table.row([setting.key.to_owned(), setting.values.join(" "), setting.source.to_string()]);
    }
    table
}

fn json(setting: &Effective) -> serde_json::Value {
    let is_list = matches!(setting.key, "listen" | "advertise");
    let value = match setting.values.as_slice() {
        [text] if !is_list => serde_json::json!(text),
        [] if !is_list => serde_json::Value::Null,
        values => serde_json::json!(values),
    };
    serde_json::json!({ "value": value, "source": setting.source.to_string() })
}
