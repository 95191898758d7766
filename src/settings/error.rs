//! Why settings are refused, in Kafka's words.

/// Why settings are refused, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("Unknown {of} config name: {name}")]
    UnknownName {
        /// What has settings: `topic` or `group`.
        of: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// A setting without a value.
    #[error("Null value not supported for : {0}")]
    NoValue(String),
    /// Something is to be added to, or taken from, what is no list.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NoList {
        /// `APPEND` or `SUBTRACT`.
        operation: &'static str,
        /// Of the setting.
        name: &'static str,
    },
    /// The value is not one that the setting takes.
    #[error("Invalid value {value} for configuration {name}: {accepted}")]
    InvalidValue {
        /// Of the setting.
        name: &'static str,
        /// As far as it is to blame.
        value: String,
        /// What would be taken.
        accepted: String,
    },
    /// A list with an empty element.
    #[error("Configuration '{0}' values must not be empty.")]
    EmptyElement(&'static str),
    /// Each value is legal, and yet they do not go together, or do not go with this broker.
    #[error("{0}")]
    Contradiction(String),
}
