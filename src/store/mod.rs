//! The object store, narrowed: paths, retry, probe.
