//! Where the current [`View`] is. Only its [publisher](super::ViewPublisher) replaces it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use miroir_core::view::View;

/// Hands out the current view. Loading is wait-free.
#[derive(Debug, Default)]
pub struct ViewCell(ArcSwap<View>);

impl ViewCell {
    /// Begins with this view.
    pub(super) fn new(view: View) -> Self {
        Self(ArcSwap::from_pointee(view))
    }

    /// The view as of now; what is loaded never changes.
    pub fn load(&self) -> Arc<View> {
        self.0.load_full()
    }

    pub(super) fn replace(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}
