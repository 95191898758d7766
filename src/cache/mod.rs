//! Bytes by (object, range): memory, then local disk.
