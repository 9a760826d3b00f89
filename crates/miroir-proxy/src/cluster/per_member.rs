//! Keeps one future going for every member of the cluster: health checks, caretakers and the like.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use miroir_core::ids::NodeId;

use super::{Feed, Member};

/// Which stay of which node in the cluster.
type Stay = (NodeId, u64);

/// Runs `begin`'s future for each member as long as it is one. Where a node has left, its future is dropped, between two of
/// its steps, before anything is begun for a node that has come. A future that ends by itself is not begun again as long as
/// its node stays. All of them run within this future: they end with it, and a panic in one is a panic here. It returns when
/// there can be no more changes and all of them have ended.
pub async fn for_each_member<F: Future<Output = ()>>(mut feed: Feed, begin: impl Fn(&Member) -> F) {
    let mut running = FuturesUnordered::new();
    // Without a handle: its future has ended by itself.
    let mut stays: BTreeMap<Stay, Option<AbortHandle>> = BTreeMap::new();
    let mut may_change = true;
    loop {
        let roster = Arc::clone(&feed.borrow_and_update());
        let has_left = |(id, since): &Stay| roster.get(id).is_none_or(|member| member.since != *since);
        let left: Vec<_> = stays.extract_if(.., |stay, _| has_left(stay)).collect();
        let mut ending = BTreeSet::new();
        for (stay, handle) in left {
            if let Some(handle) = handle {
                handle.abort();
                ending.insert(stay);
            }
        }
        // Each is woken up by that, and gone when it is polled.
        while !ending.is_empty()
            && let Some(stay) = running.next().await
        {
            ending.remove(&stay);
            note_end(&mut stays, &stay);
        }
        for member in roster.members() {
            let stay = (member.node.id().clone(), member.since);
            if let Entry::Vacant(vacant) = stays.entry(stay.clone()) {
                let (future, handle) = abortable(begin(member));
                vacant.insert(Some(handle));
                running.push(async move {
                    // Ended by itself or not: it is dropped here.
                    let _ = future.await;
                    stay
                });
            }
        }
        loop {
            tokio::select! {
                changed = feed.changed(), if may_change => {
                    if changed.is_ok() {
                        break;
                    }
                    may_change = false;
                }
                Some(stay) = running.next() => note_end(&mut stays, &stay),
                else => return,
            }
        }
    }
}

fn note_end(stays: &mut BTreeMap<Stay, Option<AbortHandle>>, stay: &Stay) {
    if let Some(handle) = stays.get_mut(stay) {
        *handle = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::FutureExt;
    use miroir_core::ids::GroupId;
    use tokio::sync::watch;
    use tokio::task::yield_now;
    use tokio::time::sleep;

    use super::*;
    use crate::cluster::Roster;
    use crate::node_api::fake::FakeNode;

    /// What has happened, in order.
    type Told = Arc<Mutex<Vec<String>>>;

    /// Tells that it is dropped.
    struct Life(Told, String);

    impl Drop for Life {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(format!("{} ends", self.1));
        }
    }

    fn begin(told: &Told, member: &Member) -> Life {
        let name = format!("{}{}", member.node.id(), member.since);
        told.lock().unwrap().push(format!("{name} begins"));
        Life(Arc::clone(told), name)
    }

    fn with(roster: &Roster, id: &str) -> Roster {
        roster.with(FakeNode::new(id).node(), GroupId(0))
    }

    async fn happened(told: &Told) -> Vec<String> {
        for _ in 0..10 {
            yield_now().await;
        }
        std::mem::take(&mut *told.lock().unwrap())
    }

    #[tokio::test]
    async fn a_future_lives_as_long_as_its_node_is_a_member_and_not_a_step_longer() {
        let (rosters, feed) = watch::channel(Arc::new(with(&Roster::default(), "a")));
        let told = Told::default();
        let begun = Arc::clone(&told);
        let following = tokio::spawn(for_each_member(feed, move |member| {
            let life = begin(&begun, member);
            async move {
                let _life = life;
                std::future::pending::<()>().await;
            }
        }));
        assert_eq!(happened(&told).await, ["a1 begins"]);
        rosters.send_modify(|roster| *roster = Arc::new(with(roster, "b")));
        assert_eq!(happened(&told).await, ["b2 begins"]);
        // Left and came back before anybody looked.
        rosters.send_modify(|roster| *roster = Arc::new(roster.without(&NodeId::new("a"))));
        rosters.send_modify(|roster| *roster = Arc::new(with(roster, "a")));
        assert_eq!(happened(&told).await, ["a1 ends", "a4 begins"]);
        rosters.send_modify(|roster| *roster = Arc::new(roster.without(&NodeId::new("b"))));
        assert_eq!(happened(&told).await, ["b2 ends"]);
        following.abort();
        assert!(following.await.unwrap_err().is_cancelled());
        assert_eq!(happened(&told).await, ["a4 ends"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_by_itself_is_not_begun_again_and_its_node_may_leave() {
        let (rosters, feed) = watch::channel(Arc::new(with(&Roster::default(), "a")));
        let told = Told::default();
        let begun = Arc::clone(&told);
        let mut following = Box::pin(for_each_member(feed, move |member| {
            let life = begin(&begun, member);
            async move {
                sleep(Duration::from_secs(1)).await;
                drop(life);
            }
        }));
        let two_seconds = tokio::time::timeout(Duration::from_secs(2), &mut following);
        assert!(two_seconds.await.is_err(), "members may still come");
        assert_eq!(happened(&told).await, ["a1 begins", "a1 ends"]);
        rosters.send_modify(|roster| *roster = Arc::new(with(roster, "b")));
        rosters.send_modify(|roster| *roster = Arc::new(roster.without(&NodeId::new("a"))));
        drop(rosters);
        // There can be no more changes.
        following.await;
        assert_eq!(happened(&told).await, ["b2 begins", "b2 ends"]);
    }

    #[tokio::test]
    async fn a_panic_in_one_of_them_is_a_panic_of_the_whole() {
        let (_rosters, feed) = watch::channel(Arc::new(with(&Roster::default(), "a")));
        let following = for_each_member(feed, |_| async { panic!("a fault of Miroir's") });
        let ended = std::panic::AssertUnwindSafe(following).catch_unwind().await;
        assert!(ended.is_err());
    }
}
