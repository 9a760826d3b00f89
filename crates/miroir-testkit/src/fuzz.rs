//! Requests that nobody should send: any JSON in any field, any method on any path, broken keys, bodies and encodings.
//! Each goes to one server and to Miroir. Miroir may refuse it only as the one server does, must not fail where that does
//! not, and must not show anything of its own. The same seed makes the same requests.

mod judge;
mod request;
mod routes;
mod run;
mod values;

pub use judge::{Fault, Finding};
pub use request::Request;
pub use run::{Options, Report, run};
