//! Nodes and Miroir die and freeze at random while clients write: nothing that was promised is lost.

use std::time::Duration;

use miroir_testkit::crash::{CrashOptions, crash};
use miroir_testkit::oracle::seed_from_env;
use miroir_testkit::sandbox::Topology;

const DURATION: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_write_survives_crashes_of_nodes_and_of_miroir() {
    let seed = seed_from_env().unwrap();
    let topology = Topology::one_group(3, 2);
    let options = CrashOptions { seed, duration: DURATION, clients: 5, topology };
    let report = crash(options).await.unwrap();
    println!("{}{report}", report.plan);
    assert!(report.is_good(), "{}{report}", report.plan);
    assert!(report.accepted > 100 && !report.plan.faults.is_empty(), "{report}");
}
