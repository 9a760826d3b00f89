//! What must be there: the accepted writes, applied in the order of their tasks; and what is wrong with the task list
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::tasks::Task;
use super::traffic::{Answer, Journal};
use super::write::{Act, PASSING, Write};

/// The documents of an index by id.
pub(super) type Documents = BTreeMap<u64, Map<String, Value>>;

/// The documents of each index, as they must be.
pub(super) type Model = BTreeMap<String, Documents>;

/// Applies the tasks in their order. `before` is how many tasks there were before the clients began.
pub(super) fn expected(journals: &[Journal], tasks: &[Task]) -> Model {
    let by_tag: BTreeMap<&str, &Write> =
        journals.iter().flatten().map(|(write, _)| (write.tag.as_str(), write)).collect();
    let mut model = Model::new();
    for task in tasks.iter().filter(|task| task.status == "succeeded") {
        let documents = model.entry(task.index.clone()).or_default();
        if task.kind == "indexDeletion" {
            documents.clear();
        } else if let Some(write) = task.tag.as_deref().and_then(|tag| by_tag.get(tag)) {
            write.apply(documents);
        }
    }
    model
}

/// What is wrong with the task list, given what the clients were told.
pub(super) fn check_tasks(journals: &[Journal], tasks: &[Task], problems: &mut Vec<String>) {
    for (place, task) in tasks.iter().enumerate() {
        if task.uid != place as u64 {
            problems.push(format!("task {} stands at place {place} of the list", task.uid));
            break;
        }
    }
    let mut uids_of: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        if let Some(tag) = &task.tag {
            uids_of.entry(tag).or_default().push(task);
        }
    }
    let known: BTreeSet<&str> = journals
        .iter()
        .flatten()
        .filter(|(write, _)| write.is_marked())
        .map(|(write, _)| &*write.tag)
        .collect();
    for stranger in uids_of.keys().filter(|tag| !known.contains(**tag)) {
        problems.push(format!("nobody made the write `{stranger}`"));
    }
    for journal in journals {
        let mut last = None;
        for (write, answer) in journal {
            let there = uids_of.get(write.tag.as_str()).map_or(&[][..], Vec::as_slice);
            check_write(write, answer, there, tasks, problems);
            if let Answer::Accepted(uid) = answer {
                if last.is_some_and(|last| last >= *uid) {
                    problems
                        .push(format!("`{}` is task {uid}, after {last:?} of the same client", write.tag));
                }
                last = Some(*uid);
            }
        }
    }
}

fn check_write(write: &Write, answer: &Answer, there: &[&Task], tasks: &[Task], problems: &mut Vec<String>) {
    let tag = &write.tag;
    match (answer, there) {
        (Answer::Accepted(uid), []) if write.is_marked() => {
            problems.push(format!("the accepted write `{tag}` (task {uid}) is not in the list"));
        }
        (Answer::Accepted(uid), []) => {
            let kind = if write.act == Act::DropIndex { "indexDeletion" } else { "settingsUpdate" };
            let task = usize::try_from(*uid).ok().and_then(|uid| tasks.get(uid));
            if task.is_none_or(|task| task.kind != kind || task.index != write.index) {
                problems.push(format!("`{tag}` was accepted as task {uid}, which is {task:?}"));
            }
        }
        (Answer::Accepted(uid), [task]) if task.uid == *uid => check_end(write, task, problems),
        (Answer::Lost, [task]) => check_end(write, task, problems),
        (Answer::Lost | Answer::Refused { .. }, []) => {}
        (answer, there) => problems.push(format!("`{tag}` was answered with {answer:?}, and is {there:?}")),
    }
}

/// Whether the task ended as its write deserves.
fn check_end(write: &Write, task: &Task, problems: &mut Vec<String>) {
    let must_fail = matches!(write.act, Act::Invalid(_));
    // Deletions in an index that does not exist fail; whether it does is not followed here.
    let may_fail = write.index == PASSING && task.error["code"] == "index_not_found";
    let good = match task.status.as_str() {
        "succeeded" => !must_fail,
        "failed" => must_fail || may_fail,
        _ => false,
    };
    if !good {
        problems.push(format!("`{:?}` ended as {task:?}", write.act));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn write(tag: &str, act: Act) -> Write {
        Write { tag: tag.to_owned(), index: "alpha", act }
    }

    fn task(uid: u64, tag: &str, status: &str) -> Task {
        Task {
            uid,
            index: "alpha".to_owned(),
            kind: "documentDeletion".to_owned(),
            status: status.to_owned(),
            tag: Some(tag.to_owned()),
            error: Value::Null,
        }
    }

    fn problems(journal: Journal, tasks: &[Task]) -> Vec<String> {
        let mut problems = Vec::new();
        check_tasks(&[journal], tasks, &mut problems);
        problems
    }

    #[test]
    fn lost_accepted_writes_and_kept_refused_ones_are_noticed() {
        let accepted = || vec![(write("a", Act::DeleteOne(1)), Answer::Accepted(0))];
        assert!(problems(accepted(), &[task(0, "a", "succeeded")]).is_empty());
        assert_eq!(problems(accepted(), &[]).len(), 1);
        let refused = Answer::Refused { status: 400, text: String::new() };
        assert_eq!(
            problems(vec![(write("a", Act::Malformed), refused)], &[task(0, "a", "succeeded")]).len(),
            1
        );
    }

    #[test]
    fn a_lost_answer_stands_for_one_task_or_none() {
        let lost = || vec![(write("a", Act::DeleteOne(1)), Answer::Lost)];
        assert!(problems(lost(), &[]).is_empty());
        assert!(problems(lost(), &[task(0, "a", "succeeded")]).is_empty());
        assert_eq!(problems(lost(), &[task(0, "a", "succeeded"), task(1, "a", "succeeded")]).len(), 1);
    }

    #[test]
    fn gaps_and_wrong_orders_are_noticed() {
        let two = vec![
            (write("a", Act::DeleteOne(1)), Answer::Accepted(1)),
            (write("b", Act::DeleteOne(1)), Answer::Accepted(0)),
        ];
        assert_eq!(problems(two, &[task(0, "b", "succeeded"), task(1, "a", "succeeded")]).len(), 1);
        let one = vec![(write("a", Act::DeleteOne(1)), Answer::Accepted(1))];
        assert_eq!(problems(one, &[task(1, "a", "succeeded")]).len(), 1);
    }

    #[test]
    fn the_order_of_tasks_decides_and_failed_ones_do_nothing() {
        let document = |number: u64| json!({"id": 1, "number": number}).as_object().cloned().unwrap();
        let journal = vec![
            (write("a", Act::Replace(vec![document(1)])), Answer::Accepted(2)),
            (write("b", Act::Replace(vec![document(2)])), Answer::Lost),
            (write("c", Act::Replace(vec![document(3)])), Answer::Accepted(3)),
        ];
        let tasks = [task(1, "b", "succeeded"), task(2, "a", "succeeded"), task(3, "c", "failed")];
        assert_eq!(expected(&[journal], &tasks)["alpha"], Documents::from([(1, document(1))]));
    }
}
