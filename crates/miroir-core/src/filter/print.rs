//! Writing a filter so that every reader sees the same tree.

use std::fmt::{self, Display, Formatter};

use super::Filter;

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all) => write_list(f, all, " AND "),
            Self::Or(either) => write_list(f, either, " OR "),
            Self::Not(one) => write!(f, "NOT {}", Inner(one)),
            Self::Condition { written, .. } => f.write_str(written),
            Self::Foreign { field, filter } => write!(f, "_foreign({}, {filter})", field.written),
        }
    }
}

/// Parentheses keep apart what is combined differently.
struct Inner<'a>(&'a Filter);

impl Display for Inner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            combined @ (Filter::And(_) | Filter::Or(_)) => write!(f, "({combined})"),
            alone => alone.fmt(f),
        }
    }
}

fn write_list(f: &mut Formatter<'_>, list: &[Filter], between: &str) -> fmt::Result {
    for (place, filter) in list.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        Inner(filter).fmt(f)?;
    }
    Ok(())
}
