//! Two and three brokers' meshes in one process, over loopback.

mod calls;
mod ordered;
mod processes;
mod sightings;
mod strangers;
mod support;
