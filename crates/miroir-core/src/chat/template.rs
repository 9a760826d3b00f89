//! What of a found document the model reads: what the index's template for chats makes of it, or else its searchable fields.
//!
//! Templates are written for the library that Meilisearch renders them with, so they are rendered by it here too. They see
//! `doc`, the document, and `fields`, a list of its fields with `name`, `value` and `is_searchable`.

mod tree;

use liquid::model::{KString, Value as Liquid};
use serde_json::{Map, Value};
use thiserror::Error;

use self::tree::{Fields, Tree};
use crate::settings::{ClientSettings, lies_in};

/// Fields that have a meaning of their own are no text.
const LEFT_OUT: [&str; 3] = ["_vectors", "_geo", "_geojson"];

/// A template as an index's settings say it.
pub struct DocumentTemplate {
    template: Option<liquid::Template>,
    searchable: Option<Vec<String>>,
}

/// Why there is no text.
#[derive(Debug, Error)]
pub enum TemplateFault {
    /// The template is none.
    #[error("user error: cannot parse template: {0}")]
    Parse(liquid::Error),
    /// The template asks for what the document does not have.
    #[error("user error: missing field in document `{0}`: {1}")]
    Render(String, liquid::Error),
}

impl DocumentTemplate {
    /// The template of an index.
    pub fn of(settings: &ClientSettings) -> Result<Self, TemplateFault> {
        match settings.get("chat").and_then(|chat| chat["documentTemplate"].as_str()) {
            Some(text) => Self::new(text, settings),
            None => Ok(Self::with(None, settings)),
        }
    }

    /// This template for documents of an index with these settings.
    pub fn new(text: &str, settings: &ClientSettings) -> Result<Self, TemplateFault> {
        let parser = liquid::ParserBuilder::with_stdlib().build().map_err(TemplateFault::Parse)?;
        let template = parser.parse(text).map_err(TemplateFault::Parse)?;
        Ok(Self::with(Some(template), settings))
    }

    fn with(template: Option<liquid::Template>, settings: &ClientSettings) -> Self {
        let searchable = settings.list("searchableAttributes").filter(|list| !list.contains(&"*"));
        let searchable = searchable.map(|list| list.into_iter().map(str::to_owned).collect());
        Self { template, searchable }
    }

    /// The text of one document, which `id` names in errors.
    pub fn render(&self, id: &str, document: &Map<String, Value>) -> Result<String, TemplateFault> {
        let fields = document.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
        match &self.template {
            Some(template) => template
                .render(&self.context(fields))
                .map_err(|fault| TemplateFault::Render(id.to_owned(), fault)),
            None => Ok(self.searchable_fields(fields)),
        }
    }

    fn is_searchable(&self, field: &str) -> bool {
        self.searchable.as_ref().is_none_or(|list| list.iter().any(|name| lies_in(field, name)))
    }

    /// A line for each field, as Meilisearch's own template has it: to templates, `false` is as good as nothing.
    fn searchable_fields<'a>(&self, fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
        let shown = fields.filter(|(name, value)| {
            !matches!(value, Value::Null | Value::Bool(false)) && self.is_searchable(name)
        });
        shown.fold(String::new(), |text, (name, value)| text + name + ": " + &Tree::of(value).text() + "\n")
    }

    fn context<'a>(&self, fields: impl Iterator<Item = (&'a String, &'a Value)>) -> Fields {
        let (mut doc, mut list) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            let searchable = Tree::Plain(Liquid::scalar(self.is_searchable(name)));
            list.push(Tree::Fields(Fields(vec![
                (KString::from_static("name"), Tree::Plain(Liquid::scalar(name.clone()))),
                (KString::from_static("value"), Tree::of(value)),
                (KString::from_static("is_searchable"), searchable),
            ])));
            doc.push((KString::from_ref(name), Tree::of(value)));
        }
        Fields(vec![
            (KString::from_static("doc"), Tree::Fields(Fields(doc))),
            (KString::from_static("fields"), Tree::List(list)),
        ])
    }
}

/// What of a found document a client may see: the fields that are displayed by their own names, in the order of the setting.
pub fn displayed_only(document: &Map<String, Value>, settings: &ClientSettings) -> Map<String, Value> {
    match settings.list("displayedAttributes").filter(|list| !list.contains(&"*")) {
        None => document.clone(),
        Some(list) => {
            list.into_iter().filter_map(|name| Some((name.to_owned(), document.get(name)?.clone()))).collect()
        }
    }
}
