//! Miroir, the server: Meilisearch's API in front of several Meilisearch servers that hold the shards of every index.
//!
//! The way of a search is [`http`] → [`search`]: plan, scatter, gather, merge. The way of a write is [`http`] →
//! [`write`]: check, log, lanes, task. In a [`chat`] a language model searches. [`cluster`] knows the nodes, and which of
//! them may be read; [`settings`] brings changes of settings to all of them; [`observe`] tells how all of it is doing.

mod accord;
mod auth;
mod chat;
pub mod cluster;
pub mod config;
pub mod dev;
mod error;
pub mod http;
mod listen;
mod memory;
pub mod node_api;
pub mod observe;
pub mod online;
mod outward;
mod probe;
mod read;
mod search;
pub mod server;
pub mod settings;
mod transfer;
pub mod webhook;
pub mod write;
