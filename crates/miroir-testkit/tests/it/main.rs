//! What Miroir does before clients and operators, with processes of its own as nodes: one program, so that it is linked once.
//! A module runs by its name: `cargo test --test it oracle::`.

mod admin;
mod arrival;
mod chats;
mod devnode;
mod documents;
mod edge;
mod export;
mod faithful;
mod filter_grammar;
mod fuzz;
mod identity;
mod keys;
mod late;
mod logs;
mod loss;
mod oracle;
mod outage;
mod protocol;
mod rebuild;
mod relations;
mod rules;
mod sandbox;
mod scale;
mod settings;
mod survive;
mod tasks;
