//! The tasks that clients see.

use async_trait::async_trait;
use miroir_core::ids::{Epoch, TaskUid};
use miroir_core::task::{Task, TaskFilter, TaskList, TaskPage};

use super::Part;
use crate::{Administration, StoreError};

/// The tasks, and what clients may do with them.
#[async_trait]
pub trait Tasks: Part {
    /// A task by its number.
    async fn task(&self, uid: TaskUid) -> Result<Option<Task>, StoreError>;

    /// The tasks that match, a page of them.
    async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, StoreError>;

    /// Cancels or deletes tasks, and makes a task that says so. It has ended when this returns. With the id of one before it
    /// is that one again, as for [appends](super::Log::append).
    async fn administer(&self, epoch: Epoch, order: Administration) -> Result<Task, StoreError>;
}
