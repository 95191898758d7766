//! Assembly of a broker from its rooms.
