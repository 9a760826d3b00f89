//! One script of writes, with a crash at each of its steps: whatever the process had done by then, the next one goes on from
//! there, and in the end everything is as if there had been no crash.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::bench::fakes;
use super::process::Ground;
use super::script::{End, play};
use super::tripwire::{Steps, Stop, Tripwire};

/// More steps than the script has.
const MOST: u64 = 500;

/// Runs with several crashes each, and so many crashes.
const RUNS: u64 = 12;
const CRASHES: usize = 4;

/// Steps that a process takes before it crashes, at most.
const FAR: u64 = 16;

/// Two nodes that have everything, or three that share it.
fn ground(nodes: usize) -> Ground {
    Ground::new(&fakes(["a", "b", "c"])[..nodes], 2)
}

async fn undisturbed(nodes: usize) -> End {
    play(ground(nodes), []).await.1
}

/// Everything is as if there had been no crashes.
fn check(end: &End, expected: &End, crashes: usize, what: &str) {
    let differs: Vec<_> = end.lines.symmetric_difference(&expected.lines).collect();
    assert!(differs.is_empty(), "after {what}: {differs:#?}");
    let again = end.settings - expected.settings;
    // One for each node, at each crash.
    assert!(again <= 3 * crashes, "after {what}: settings were changed {again} times more often");
}

/// Crashes at each step in turn, until a process takes all of them. Answers how many there are.
async fn walk(nodes: usize, steps: Steps, stop: fn(u64) -> Stop) -> u64 {
    let expected = undisturbed(nodes).await;
    for number in 0..MOST {
        let (whole, end) = play(ground(nodes), [Tripwire::new(steps, stop(number))]).await;
        check(&end, &expected, 1, &format!("a crash at {:?} of {steps:?}", stop(number)));
        if whole == 1 {
            return number;
        }
    }
    panic!("the script does not come to its end in {MOST} steps");
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_any_step_of_the_store_changes_nothing_in_the_end() {
    let steps = [walk(2, Steps::OfStore, Stop::Before).await, walk(2, Steps::OfStore, Stop::After).await];
    assert!(steps.iter().all(|steps| *steps > 25), "{steps:?} steps");
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_any_request_to_a_node_changes_nothing_in_the_end() {
    let steps = [walk(3, Steps::OfNodes, Stop::Before).await, walk(3, Steps::OfNodes, Stop::After).await];
    assert!(steps.iter().all(|steps| *steps > 25), "{steps:?} requests");
}

#[tokio::test(start_paused = true)]
async fn crashes_one_after_the_other_wherever_they_are_change_nothing_in_the_end() {
    let first = std::env::var("MIROIR_CRASH_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = first.map_or_else(|| (0..RUNS).collect(), |seed| vec![seed]);
    let expected = undisturbed(3).await;
    for seed in seeds {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut wire = || {
            let steps = if chance.random() { Steps::OfStore } else { Steps::OfNodes };
            let number = chance.random_range(0..FAR);
            Tripwire::new(steps, if chance.random() { Stop::Before(number) } else { Stop::After(number) })
        };
        let wires: Vec<_> = (0..CRASHES).map(|_| wire()).collect();
        let what = format!("MIROIR_CRASH_SEED={seed}: {wires:?}");
        println!("{what}");
        let (_, end) = play(ground(3), wires).await;
        check(&end, &expected, CRASHES, &what);
    }
}
