//! Lists of attributes in search errors. Meilisearch leaves out of them what is not displayed; nodes display
//! everything (see [`crate::settings`]), so the same must be done again with the client's list.

const HIDDEN: &str = ", <..hidden-attributes>";

/// The beginnings of the lists, up to their first attribute, and what stands for a list without any; a searchable list
/// is never replaced. (Meilisearch 1.50, `crates/milli/src/error.rs`.)
const LISTS: [(&str, Option<&str>); 4] = [
    (
        "is not sortable. Available sortable attributes are: `",
        Some("is not sortable. This index does not have configured sortable attributes."),
    ),
    (
        "cannot be used as distinct attribute. Available filterable attributes patterns are: `",
        Some(
            "cannot be used as distinct attribute. This index does not have configured filterable attributes.",
        ),
    ),
    (
        "is not facet-searchable. Available facet-searchable attributes patterns are: `",
        Some("is not facet-searchable. This index does not have configured facet-searchable attributes."),
    ),
    ("is not searchable. Available searchable attributes are: `", None),
];

/// The message as a server would write it that displays only these attributes.
pub fn hide_attributes(message: &str, displayed: &[&str]) -> String {
    for (beginning, nothing) in LISTS {
        let Some((before, rest)) = message.split_once(beginning) else { continue };
        let Some((list, after)) = rest.split_once('`') else { continue };
        let (shown, hidden) = split(list, displayed);
        let after = after.strip_prefix('.').unwrap_or(after);
        return match nothing {
            Some(nothing) if shown.is_empty() => format!("{before}{nothing}{after}"),
            _ => format!("{before}{beginning}{shown}{}`.{after}", if hidden { HIDDEN } else { "" }),
        };
    }
    message.to_owned()
}

fn split(list: &str, displayed: &[&str]) -> (String, bool) {
    let was_hidden = list.ends_with(HIDDEN);
    let list = list.strip_suffix(HIDDEN).unwrap_or(list);
    let (shown, hidden): (Vec<&str>, Vec<&str>) = list.split(", ").partition(|name| displayed.contains(name));
    (shown.join(", "), was_hidden || !hidden.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_displayed_leaves_the_list_and_the_list_says_so() {
        let message =
            "Index `a`: Attribute `x` is not sortable. Available sortable attributes are: `brand, price`.";
        let expected = "Index `a`: Attribute `x` is not sortable. Available sortable attributes are: `brand, <..hidden-attributes>`.";
        assert_eq!(hide_attributes(message, &["brand"]), expected);
        assert_eq!(hide_attributes(message, &["brand", "price"]), message);
    }

    #[test]
    fn a_list_without_any_displayed_attribute_reads_as_none_configured() {
        let message = "Attribute `x` is not sortable. Available sortable attributes are: `brand, price`.";
        let expected =
            "Attribute `x` is not sortable. This index does not have configured sortable attributes.";
        assert_eq!(hide_attributes(message, &["title"]), expected);
    }

    #[test]
    fn other_lists_stay() {
        let message =
            "Attribute `x` is not filterable. Available filterable attributes patterns are: `brand`.";
        assert_eq!(hide_attributes(message, &["title"]), message);
    }
}
