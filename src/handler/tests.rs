//! What handlers promise, asked as a client asks: bytes in, bytes out, on stores in memory.

mod archive;
mod archive_reads;
mod brokers;
mod configs;
mod fetching;
mod fsck;
mod gateway;
mod group_configs;
mod groups;
mod isolation;
mod litter;
mod merged;
mod protocol;
mod sealed;
mod share;
mod topics;
mod transactions;
mod upkeep;
mod versions;
mod world;
