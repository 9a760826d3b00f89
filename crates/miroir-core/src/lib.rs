//! What Miroir decides, without doing any of it: no clock, no randomness, no input or output. Everything here is a pure
//! function of its arguments, so that every decision can be tested as a value.

pub mod arrival;
pub mod chat;
pub mod cover;
pub mod document;
pub mod error;
pub mod filter;
pub mod hash;
pub mod identity;
pub mod ids;
pub mod json;
pub mod keys;
pub mod network;
pub mod path;
pub mod placement;
pub mod relation;
pub mod rules;
pub mod search;
pub mod secret;
pub mod settings;
pub mod size;
pub mod task;
pub mod view;
