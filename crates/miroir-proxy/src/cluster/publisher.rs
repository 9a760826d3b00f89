//! The one place that changes the [`View`]. Whoever knows a part of it says here what has become of that part.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use miroir_core::ids::{IndexUid, NodeId};
use miroir_core::rules::RuleBook;
use miroir_core::settings::SettingsVersions;
use miroir_core::task::Behind;
use miroir_core::view::{IndexEntry, View};

use super::ViewCell;

/// What can change in the view.
#[derive(Debug, Clone)]
pub enum ViewChange {
    /// These nodes answer, and have data of the log, and no others. Said by the membership.
    Usable(BTreeSet<NodeId>),
    /// Nodes lack this too, besides what they are known to lack. Said by the write path before a task ends without them.
    LackToo(Behind),
    /// Nodes lack this, and nothing else. Said by the write path when it is stored.
    Lack(Behind),
    /// There is this index, or it has changed. Said by the write path, as the next two are.
    Index(Arc<IndexEntry>),
    /// There is no index of this name.
    NoIndex(IndexUid),
    /// These are the dynamic search rules.
    Rules(RuleBook),
    /// These nodes have these settings. Said by the settings board.
    Settings(SettingsVersions),
}

impl ViewChange {
    fn make(self, view: &mut View) {
        match self {
            Self::Usable(usable) => view.usable = usable,
            Self::LackToo(behind) => Arc::make_mut(&mut view.behind).extend(&behind),
            Self::Lack(behind) => view.behind = Arc::new(behind),
            Self::Index(entry) => drop(view.indexes.insert(entry.uid.clone(), entry)),
            Self::NoIndex(uid) => drop(view.indexes.remove(&uid)),
            Self::Rules(rules) => view.rules = Arc::new(rules),
            Self::Settings(settings) => view.settings = settings,
        }
    }
}

/// See the module. Each part of the view has one who says how it is, and says so in order: it keeps others from saying it
/// meanwhile, so that no part of the view goes back.
#[derive(Debug, Default)]
pub struct ViewPublisher {
    view: Arc<ViewCell>,
    publishing: Mutex<()>,
}

impl ViewPublisher {
    /// Begins with this view.
    pub fn new(view: View) -> Self {
        Self { view: Arc::new(ViewCell::new(view)), publishing: Mutex::default() }
    }

    /// Where all others read it.
    pub fn view(&self) -> Arc<ViewCell> {
        Arc::clone(&self.view)
    }

    /// The view as of now.
    pub fn load(&self) -> Arc<View> {
        self.view.load()
    }

    /// Makes all of these changes at once. Requests under way keep the view that they began with.
    pub fn publish(&self, changes: impl IntoIterator<Item = ViewChange>) {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = View::clone(&self.view.load());
        for change in changes {
            change.make(&mut next);
        }
        self.view.replace(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixture::{films, view};

    #[test]
    fn changes_that_are_published_together_are_seen_together_and_leave_the_rest_as_it_is() {
        let publisher = ViewPublisher::new(view(films(), &["a", "b"]));
        let (reader, before) = (publisher.view(), publisher.load());
        let named = |uid: &str| IndexEntry { uid: IndexUid::new(uid), ..films() };
        let renamed = [ViewChange::NoIndex(films().uid), ViewChange::Index(Arc::new(named("movies")))];
        publisher.publish(renamed);
        let now = reader.load();
        assert_eq!(now.indexes.keys().map(IndexUid::as_str).collect::<Vec<_>>(), ["movies"]);
        assert_eq!(now.usable, before.usable);
        assert_eq!(before.indexes.keys().map(IndexUid::as_str).collect::<Vec<_>>(), ["films"]);
        publisher.publish([ViewChange::Usable(BTreeSet::new())]);
        assert!(reader.load().usable.is_empty() && reader.load().indexes == now.indexes);
    }
}
