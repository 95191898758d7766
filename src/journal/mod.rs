//! The journal: open object, cutter, encode, flusher, committer, index.
