//! Changes of settings: on all nodes or on none, whatever happens on the way.

mod broadcast;
mod doubt;
mod faults;
mod floor;
mod floor_kinds;
mod refused;
mod rolling;
mod sequential;
mod stuck;
