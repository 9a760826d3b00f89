//! API keys and tenant tokens: who may do what with which index.
//!
//! ```text
//!  header --Credentials--> Ring::authorize --> Scope: the indexes, and what a token adds to searches
//!                            |    ^
//!                     token? |    | the key that signed it
//!                            v    |
//!                          TenantToken
//! ```
//!
//! A key's value is not kept: it follows from the master key and the key's uid, by the rule that Meilisearch uses. So
//! a client's keys go on working when its Meilisearch is replaced by Miroir with the same master key.

mod action;
mod check;
mod expiry;
mod form;
mod key;
mod pattern;
mod ring;
mod scope;
mod token;

pub use action::{Action, IndexScope};
pub use check::{Credentials, Denied};
pub use form::{KeyPatch, NewKey, read_creation, read_patch};
pub use key::{ApiKey, KeyValue, default_keys, derive_value};
pub use pattern::UidPattern;
pub use ring::{HeldKey, Ring};
pub use scope::{Confined, NotAllowed, Scope};
pub use token::{SearchRules, TokenError};
