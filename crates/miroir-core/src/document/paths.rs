//! Which paths below fields mean anything.
//!
//! To a server a name with a dot means nothing until a document came that has the path (1.50, `fields_ids_map`): from then
//! on every document shows what the path passes on its way ([`super::fields::keep`]). Each node has met the paths of its own
//! documents only. So those that none has met are left out, and where one has met a path and another one has not, nodes are
//! asked for all that the path passes.

use std::collections::BTreeSet;

use serde::Serialize;

/// What the nodes of an index say of the paths that a request names. By default all of them are known everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PathsMet {
    nowhere: BTreeSet<String>,
    partly: BTreeSet<String>,
}

impl PathsMet {
    /// `nodes` are the paths that each node has met.
    pub fn new(paths: &[String], nodes: &[BTreeSet<String>]) -> Self {
        let mut met = Self::default();
        for path in paths {
            let count = nodes.iter().filter(|met| met.contains(path)).count();
            if count == 0 && !nodes.is_empty() {
                met.nowhere.insert(path.clone());
            } else if count < nodes.len() {
                met.partly.insert(path.clone());
            }
        }
        met
    }

    /// Whether some node knows the name.
    pub fn means_something(&self, name: &str) -> bool {
        !self.nowhere.contains(name)
    }

    /// The fields that nodes must be asked for too, so that those which have not met a path send what it passes.
    pub fn beside(&self) -> Vec<String> {
        let passed: BTreeSet<&str> = self.partly.iter().flat_map(|path| passed_by(path)).collect();
        passed.into_iter().map(str::to_owned).collect()
    }

    /// The same for one name.
    pub fn beside_name<'a>(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        passed_by(name).take(if self.partly.contains(name) { usize::MAX } else { 0 })
    }
}

/// Whether a name is a path, or may be one.
pub fn is_path(name: &str) -> bool {
    name.contains('.')
}

fn passed_by(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(at, _)| &path[..at]).filter(|passed| !passed.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_met_means_nothing_and_what_some_have_met_is_asked_for_with_all_it_passes() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let node = |met: &[&str]| names(met).into_iter().collect::<BTreeSet<_>>();
        let paths = names(&["a.b", "c.d.e", "x.y"]);
        let met = PathsMet::new(&paths, &[node(&["a.b", "c.d.e"]), node(&["a.b"])]);
        assert!(met.means_something("a.b") && met.means_something("c.d.e") && met.means_something("title"));
        assert!(!met.means_something("x.y"));
        assert_eq!(met.beside(), ["c", "c.d"]);
        assert_eq!(met.beside_name("c.d.e").collect::<Vec<_>>(), ["c", "c.d"]);
        assert_eq!(met.beside_name("a.b").count(), 0);
        assert_eq!(PathsMet::new(&paths, &[]), PathsMet::default());
        assert_eq!(PathsMet::new(&paths, &[node(&["a.b", "c.d.e", "x.y"])]), PathsMet::default());
    }
}
