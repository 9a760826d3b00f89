//! Passes: all transfers to a node, or one of them, compared and copied once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{TryStreamExt, stream};
use miroir_core::ids::PhysicalUid;

use super::documents::There;
use super::index::copy_index;
use super::survey::Survey;
use super::target::{Target, Work};
use super::{Transfer, TransferError};
use crate::node_api::questions;

/// Indexes that are looked at side by side. Each takes the memory of a page and a body.
pub const SIDE_BY_SIDE: usize = 8;

/// Which pass over the node this is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// The indexes that are there were left by a pass before this one. If not, they may hold anything.
    pub is_later: bool,
    /// Indexes that are as a pass before left them, at their sources too.
    pub left_out: BTreeSet<PhysicalUid>,
}

/// Makes the target's indexes, settings and documents those of the sources, and drops indexes of which there is no transfer.
/// It is exact for what is not written to meanwhile.
///
/// # Errors
/// When a node does not answer, refuses a question, or fails a task.
pub async fn copy_indexes(target: &Target, transfers: &[Transfer], pass: &Pass) -> Result<(), TransferError> {
    let work = async {
        let there = drop_other_indexes(target, transfers).await?;
        let survey = Survey::of(transfers, target.timeout()).await?;
        let is_due = |it: &&Transfer| !there.contains(it.key()) || !pass.left_out.contains(it.key());
        let jobs: Vec<&Transfer> = transfers.iter().filter(is_due).collect();
        let documents = jobs.iter().map(|transfer| survey.documents(transfer)).sum();
        target.progress().begin(documents, jobs.len() as u64);
        let jobs = stream::iter(jobs.into_iter().map(Ok));
        jobs.try_for_each_concurrent(SIDE_BY_SIDE, async |transfer| {
            let there = There::from(there.contains(transfer.key()));
            copy_index(target, transfer, &survey, (there, pass.is_later)).await
        })
        .await?;
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

/// Makes one index of the target that of its sources, or deletes it if there is no transfer. It is done when this returns,
/// and exact if nobody writes to the index meanwhile. A pass went before.
///
/// # Errors
/// As of [`copy_indexes`].
pub async fn copy_one(
    target: &Target,
    index: &PhysicalUid,
    transfer: Option<&Transfer>,
) -> Result<(), TransferError> {
    let work = async {
        let found = target.ask(questions::find_index(index)).await?;
        let is_right = found.as_ref().is_some_and(|primary_key| fits(transfer, primary_key.as_ref()));
        if found.is_some() && !is_right {
            drop_index(target, index).await?;
        }
        if let Some(transfer) = transfer {
            let survey = Survey::of_one(transfer, target.timeout()).await?;
            target.progress().expect(survey.documents(transfer));
            copy_index(target, transfer, &survey, (There::from(is_right), true)).await?;
        }
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

/// Whether an index with this primary key can become that of the transfer.
fn fits(transfer: Option<&Transfer>, primary_key: Option<&String>) -> bool {
    transfer.is_some_and(|it| primary_key.is_none() || it.index.primary_key.as_ref() == primary_key)
}

async fn drop_index(target: &Target, index: &PhysicalUid) -> Result<(), TransferError> {
    target.put(questions::delete_index(index), Work { documents: 0, ticket: None }).await
}

/// Deletes what should not be there, or not with this primary key. Answers what is left.
async fn drop_other_indexes(
    target: &Target,
    transfers: &[Transfer],
) -> Result<BTreeSet<PhysicalUid>, TransferError> {
    let wanted: BTreeMap<&PhysicalUid, &Transfer> = transfers.iter().map(|it| (it.key(), it)).collect();
    let mut left = BTreeSet::new();
    for (uid, primary_key) in target.ask(questions::indexes()).await? {
        if fits(wanted.get(&uid).copied(), primary_key.as_ref()) {
            left.insert(uid);
        } else {
            drop_index(target, &uid).await?;
        }
    }
    Ok(left)
}
