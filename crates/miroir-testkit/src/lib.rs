//! What the tests of Miroir stand on: clusters of real processes, and the oracle.
//!
//! [`sandbox`] starts search servers and Miroir on free loopback ports, hurts them on request (kill, pause, restart)
//! and takes them down when the value is dropped. [`oracle`] applies one generated world of settings, documents and
//! searches to one server and to Miroir, and says where the answers differ. [`crash`] hurts everybody at random while
//! clients write, and says what was lost. [`fuzz`] sends what nobody should send. [`ingest`] measures what Miroir costs
//! those who add documents, [`scale`] what many indexes cost, and how long a node takes that lost everything. [`films`] is the index whose settings tests change. [`client`] is the small HTTP client that
//! all use. None of it knows Miroir's code: everything goes through the public HTTP interface, as a user would.

pub mod client;
pub mod crash;
pub mod films;
pub mod fuzz;
pub mod ingest;
pub mod oracle;
pub mod sandbox;
pub mod scale;
