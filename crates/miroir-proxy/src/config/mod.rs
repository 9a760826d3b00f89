//! The configuration: one YAML file and `MIROIR_…` environment variables, read in two steps.
//!
//! [`raw`] is what was written: every value still text, with the line or the variable it came from. [`checked`] is
//! what the rest of Miroir sees: typed, complete, with impossible states gone. Between the two, `check` collects
//! *every* problem, so that a wrong file is corrected in one go.

mod check;
mod checked;
mod env;
mod error;
mod keys;
mod raw;
mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use checked::{
    AdminConfig, Config, HealthConfig, IndexPattern, IndexShards, MetricsConfig, NodeAddress, NodeConfig,
    ScatterConfig, Secret, ServerConfig, TaskStoreConfig,
};
pub use error::{ConfigErrors, Origin, Problem, Reason, Warning};
pub use settings::{DriftConfig, SettingsConfig};

/// The most shards an index can have: shard numbers fit the three digits of the shard markers.
pub const MAX_SHARDS: u32 = 1000;

/// A configuration that passed every check, and what is worth saying about it all the same.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// Things that are allowed but probably not meant.
    pub warnings: Vec<Warning>,
}

/// Reads the file (without one: defaults and variables alone), lays the variables over it and checks the whole.
///
/// `variables` is normally [`std::env::vars`]; only names that begin with `MIROIR_` are looked at.
///
/// # Errors
/// Every problem found, each naming its key, its value, where it was written and what is wrong with it.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let text = match file.map(std::fs::read_to_string) {
        None => String::new(),
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(ConfigErrors::new(file, vec![Problem::unreadable_file(&error)])),
    };
    parse(&text, variables).map_err(|problems| ConfigErrors::new(file, problems))
}

fn parse(text: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Vec<Problem>> {
    let (raw, mut problems) = raw::read(text);
    // A file that could not be read at all would only add "missing" for everything that is in it.
    let Some(mut raw) = raw else { return Err(problems) };
    let mut warnings = Vec::new();
    env::apply(&mut raw, variables, &mut problems, &mut warnings);
    match check::check(&raw, &mut warnings) {
        Ok(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
        Ok(_) => Err(problems),
        Err(mut found) => {
            found.retain(|problem| !problems.iter().any(|other| other.explains(problem)));
            problems.extend(found);
            Err(problems)
        }
    }
}
