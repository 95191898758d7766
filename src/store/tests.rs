//! The store's promises: which URLs and paths are taken, what an error means, whose bucket it is.

mod claim;
mod errors;
mod http;
mod local;
mod open;
mod paths;
mod segment_paths;
