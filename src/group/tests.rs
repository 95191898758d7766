//! Groups at the door of their tasks: what is asked, what is stored, what a restart finds.

mod handover;
mod life;
mod migration;
mod settings;
mod stored;
mod world;
