//! The one place where the current [`View`] is kept and replaced.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use miroir_core::view::View;

/// Hands out the current view and replaces it. Loading is wait-free; replacing is serialised.
#[derive(Debug, Default)]
pub struct ViewCell {
    current: ArcSwap<View>,
    replacing: Mutex<()>,
}

impl ViewCell {
    /// Begins with this view.
    pub fn new(view: View) -> Self {
        Self { current: ArcSwap::from_pointee(view), replacing: Mutex::new(()) }
    }

    /// The view as of now; what is loaded never changes.
    pub fn load(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Publishes a changed copy. Requests under way keep the view they began with.
    pub fn update(&self, change: impl FnOnce(&mut View)) {
        let _one_at_a_time = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = View::clone(&self.current.load());
        change(&mut next);
        self.current.store(Arc::new(next));
    }
}
