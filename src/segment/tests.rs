mod damage;
mod layout;
mod look_up;
mod round_trip;
mod text;
pub(super) mod world;
