//! Views between sessions of one metadata store.
