//! What is done to which process, and when: a value made from a seed.

use std::fmt;
use std::time::Duration;

use crate::oracle::Dice;

/// Milliseconds that pass before the first fault, so that there is something to lose.
const QUIET_MS: usize = 1_500;
/// Shortest and longest time a process is away.
const AWAY_MS: (usize, usize) = (300, 4_000);
/// Shortest and longest pause between the return of one node and the next fault of a node.
const NODE_GAP_MS: (usize, usize) = (100, 2_500);
/// The same where a node is to have time to catch up.
const LONG_GAP_MS: (usize, usize) = (3_000, 7_000);
/// Shortest and longest time for which a node ends nothing.
const HANGS_MS: (usize, usize) = (5_000, 12_000);
/// The same for Miroir.
const MIROIR_GAP_MS: (usize, usize) = (1_500, 7_000);

/// What kinds of things happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Nodes and Miroir are killed and frozen, and nodes lose their disks.
    Everything,
    /// Nodes are killed and frozen, and have time to catch up.
    NodesAway,
    /// Nodes answer, and end nothing.
    Hangs,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurt {
    /// kill -9 of the node at this place, then a start with the same data.
    KillNode(usize),
    /// kill -9 of the node at this place, then a start with an empty disk, if all others have everything by then; else
    /// with its data.
    EmptyNode(usize),
    /// The node at this place is frozen, then goes on.
    PauseNode(usize),
    /// The node at this place answers, and ends no task that anybody sees, then goes on.
    HangNode(usize),
    /// kill -9 of Miroir, then a start with the same store.
    KillMiroir,
    /// Miroir is frozen, then goes on.
    PauseMiroir,
}

impl Hurt {
    /// Whether a node is hurt, not Miroir.
    pub const fn is_of_node(self) -> bool {
        matches!(self, Self::KillNode(_) | Self::EmptyNode(_) | Self::PauseNode(_) | Self::HangNode(_))
    }
}

/// One thing that happens, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Since the beginning.
    pub at: Duration,
    /// What happens.
    pub hurt: Hurt,
    /// How long the process is away.
    pub lasts: Duration,
}

/// All faults of a run, by time. At most one node is away at a time, and Miroir at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlan {
    /// The seed that makes the same plan again.
    pub seed: u64,
    /// What happens.
    pub faults: Vec<Fault>,
}

impl FaultPlan {
    /// The plan of this seed for a cluster of `nodes` nodes and a run of `duration`.
    pub fn generate(faults: Faults, seed: u64, nodes: usize, duration: Duration) -> Self {
        let mut dice = Dice::new(seed);
        let end = usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
        let faults = match faults {
            Faults::Everything => Self::everything(&mut dice, nodes, end),
            Faults::NodesAway => track(&mut dice, end, (AWAY_MS, LONG_GAP_MS), |dice| {
                let node = dice.between(0, nodes - 1);
                if dice.chance(60) { Hurt::KillNode(node) } else { Hurt::PauseNode(node) }
            }),
            Faults::Hangs => track(&mut dice, end, (HANGS_MS, LONG_GAP_MS), |dice| {
                Hurt::HangNode(dice.between(0, nodes - 1))
            }),
        };
        Self { seed, faults }
    }

    fn everything(dice: &mut Dice, nodes: usize, end: usize) -> Vec<Fault> {
        let mut faults = track(dice, end, (AWAY_MS, NODE_GAP_MS), |dice| {
            let node = dice.between(0, nodes - 1);
            match dice.between(0, 99) {
                0..50 => Hurt::KillNode(node),
                50..60 => Hurt::EmptyNode(node),
                _ => Hurt::PauseNode(node),
            }
        });
        faults.extend(track(dice, end, (AWAY_MS, MIROIR_GAP_MS), |dice| {
            if dice.chance(75) { Hurt::KillMiroir } else { Hurt::PauseMiroir }
        }));
        faults.sort_by_key(|fault| fault.at);
        faults
    }
}

/// Faults that follow each other without overlap, until `end`.
fn track(
    dice: &mut Dice,
    end: usize,
    (away, gap): ((usize, usize), (usize, usize)),
    mut hurt: impl FnMut(&mut Dice) -> Hurt,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = QUIET_MS + dice.between(gap.0, gap.1);
    while at < end {
        let hurt = hurt(dice);
        // Mostly short, so that there are many returns.
        let longest = dice.between(away.0, away.1);
        let lasts = dice.between(away.0, longest);
        faults.push(Fault { at: milliseconds(at), hurt, lasts: milliseconds(lasts) });
        at += lasts + dice.between(gap.0, gap.1);
    }
    faults
}

fn milliseconds(count: usize) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(u64::MAX))
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fault plan of seed {}:", self.seed)?;
        for fault in &self.faults {
            let (at, lasts) = (fault.at.as_secs_f64(), fault.lasts.as_secs_f64());
            match fault.hurt {
                Hurt::KillNode(node) => writeln!(f, "  {at:7.2} s: kill node-{node} for {lasts:.2} s")?,
                Hurt::EmptyNode(node) => writeln!(f, "  {at:7.2} s: empty node-{node} after {lasts:.2} s")?,
                Hurt::PauseNode(node) => writeln!(f, "  {at:7.2} s: freeze node-{node} for {lasts:.2} s")?,
                Hurt::HangNode(node) => {
                    writeln!(f, "  {at:7.2} s: node-{node} ends nothing for {lasts:.2} s")?;
                }
                Hurt::KillMiroir => writeln!(f, "  {at:7.2} s: kill Miroir for {lasts:.2} s")?,
                Hurt::PauseMiroir => writeln!(f, "  {at:7.2} s: freeze Miroir for {lasts:.2} s")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for faults in [Faults::Everything, Faults::NodesAway, Faults::Hangs] {
            let plan = |seed| FaultPlan::generate(faults, seed, 3, MINUTE);
            assert_eq!(plan(7), plan(7));
            assert_ne!(plan(7).faults, plan(8).faults);
        }
    }

    #[test]
    fn never_more_than_one_node_is_away() {
        for seed in 0..50 {
            for faults in [Faults::Everything, Faults::NodesAway, Faults::Hangs] {
                let plan = FaultPlan::generate(faults, seed, 3, MINUTE);
                let of_nodes: Vec<_> = plan.faults.iter().filter(|fault| fault.hurt.is_of_node()).collect();
                assert!(of_nodes.len() > 3, "{plan}");
                assert!(of_nodes.windows(2).all(|pair| pair[0].at + pair[0].lasts < pair[1].at), "{plan}");
            }
        }
    }

    #[test]
    fn a_plan_hurts_everybody_in_every_way() {
        let plan = FaultPlan::generate(Faults::Everything, 1, 3, 10 * MINUTE);
        for node in 0..3 {
            assert!(plan.faults.iter().any(|fault| fault.hurt == Hurt::KillNode(node)), "{plan}");
            assert!(plan.faults.iter().any(|fault| fault.hurt == Hurt::EmptyNode(node)), "{plan}");
            assert!(plan.faults.iter().any(|fault| fault.hurt == Hurt::PauseNode(node)), "{plan}");
        }
        assert!(plan.faults.iter().any(|fault| fault.hurt == Hurt::KillMiroir), "{plan}");
        assert!(plan.faults.iter().any(|fault| fault.hurt == Hurt::PauseMiroir), "{plan}");
    }
}
