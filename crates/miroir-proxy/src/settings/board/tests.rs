//! What the board knows of nodes, apart from changes on their way.

use miroir_core::ids::NodeId;

use super::*;

fn board() -> Broadcasts {
    let metrics = SettingsMetrics::default();
    Broadcasts::new(SettingsConfig::default(), metrics, Arc::default(), [NodeId::new("a"), NodeId::new("b")])
}

#[test]
fn repairs_are_forgotten_when_the_numbers_of_a_node_begin_anew() {
    let (board, a, b) = (board(), NodeId::new("a"), NodeId::new("b"));
    for node in [&a, &b] {
        board.note_repairs(node, [3, 4]);
        board.note_lost_repair(node);
    }
    board.doubt_all(&a);
    assert_eq!((board.repairs(&a), board.take_lost_repairs(&a)), (BTreeSet::new(), false));
    assert_eq!((board.repairs(&b), board.take_lost_repairs(&b)), ([3, 4].into(), true));
    assert!(!board.take_lost_repairs(&b));
}
