//! What has settings, by Kafka's numbers; and the change of those that can be changed.

use super::brokers::Brokers;
use super::catalog_error::{self, setting_code};
use super::context::Context;
use super::{group_error, group_settings_error};
use crate::group::{self, GroupId};
use crate::settings::{Overrides, SettingError, Table};
use crate::topic::{self, CatalogError, Topic};
use crate::types::BrokerId;
use crate::wire::ErrorCode;
use std::sync::Arc;

/// A topic.
pub const TOPIC: i8 = 2;
/// A broker.
pub const BROKER: i8 = 4;
/// What a broker logs. Nothing has settings of this kind here.
pub const BROKER_LOGGER: i8 = 8;
/// What clients are to report. Nothing has settings of this kind here.
pub const CLIENT_METRICS: i8 = 16;
/// A group.
pub const GROUP: i8 = 32;

/// A refusal as it is answered.
pub type Refused = (ErrorCode, String);

/// Something whose settings are to change.
pub enum Alterable {
    /// A topic that there is.
    Topic(Arc<Topic>),
    /// A group, whether there is one or not.
    Group(GroupId),
}

impl Alterable {
    /// What is of that kind and name. A broker's settings cannot change: they are given when it is started.
    pub async fn find(
        context: &Context,
        resource_type: i8,
        name: &str,
        settings: impl Iterator<Item = String>,
    ) -> Result<Alterable, Refused> {
        match resource_type {
            TOPIC => {
                let unknown = |code| (code, "This server does not host this topic-partition.".to_owned());
                context.topic_by_name(name).await.map(Alterable::Topic).map_err(unknown)
            }
            GROUP if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Default group resources are not allowed.".to_owned()))
            }
            GROUP => find_group(name).map(Alterable::Group),
            BROKER => {
                let names: Vec<String> = settings.collect();
                let message = format!("Cannot update these configs dynamically: {}", names.join(", "));
                Err((ErrorCode::InvalidRequest, message))
            }
            other => Err(unsupported(other)),
        }
    }

    /// The settings that it may have.
    pub fn table(&self) -> &'static Table {
        match self {
            Alterable::Topic(_) => &topic::settings::SETTINGS,
            Alterable::Group(_) => &group::settings::SETTINGS,
        }
    }

    /// Makes the change.
    pub async fn alter(
        &self,
        context: &Context,
        change: impl FnOnce(&Overrides) -> Result<Overrides, SettingError>,
    ) -> Result<(), Refused> {
        match self {
            Alterable::Topic(topic) => {
                let change = |overrides: &Overrides| change(overrides).map_err(CatalogError::from);
                let altered = context.catalog.alter(topic.id, change).await;
                altered.map(|_| ()).map_err(|error| (catalog_error::code(&error), error.to_string()))
            }
            Alterable::Group(group_id) => {
                let altered = context.group_settings.alter(group_id, change).await;
                altered.map(|_| ()).map_err(|error| (group_settings_error::code(&error), error.to_string()))
            }
        }
    }

    /// Sees whether the change could be made.
    pub fn validate(
        &self,
        context: &Context,
        change: impl FnOnce(&Overrides) -> Result<Overrides, SettingError>,
    ) -> Result<(), Refused> {
        let checked = match self {
            Alterable::Topic(topic) => change(&topic.overrides).and_then(|overrides| {
                topic::settings::check_change(&topic.overrides, &overrides).map(|_| ())
            }),
            Alterable::Group(group_id) => {
                let before = context.group_settings.overrides(group_id);
                change(&before)
                    .and_then(|overrides| group::settings::check_change(&before, &overrides).map(|_| ()))
            }
        };
        checked.map_err(|error| (setting_code(&error), error.to_string()))
    }
}

/// A group by its name. Any name will do that is not too long for one.
pub fn find_group(name: &str) -> Result<GroupId, Refused> {
    group_error::group(name).map_err(|error| (group_error::code(&error), error.to_string()))
}

/// An empty name is the default of all brokers, and means this one here.
pub fn check_broker(brokers: &Brokers, name: &str) -> Result<(), Refused> {
    if name.is_empty() || name.parse().is_ok_and(|id| brokers.is_own(BrokerId(id))) {
        return Ok(());
    }
    let here = brokers.own_id().0;
    Err((
        ErrorCode::InvalidRequest,
        format!("Unexpected broker id, expected {here} or empty string, but received {name}"),
    ))
}

/// The answer for a kind of thing that has no settings here.
pub fn unsupported(resource_type: i8) -> Refused {
    (ErrorCode::InvalidRequest, format!("Unsupported resource type: {resource_type}"))
}
