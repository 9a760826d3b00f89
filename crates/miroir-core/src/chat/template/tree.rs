//! A document as templates see it. The library's own objects have no order; here fields stay in theirs, so that a template
//! that goes through them always says the same.

use std::fmt::Debug;

use liquid::model::{
    ArrayView, DisplayCow, KString, KStringCow, ObjectRender, ObjectSource, ScalarCow, State, Value as Liquid,
};
use liquid::{ObjectView, ValueView};
use serde_json::Value;

/// Any value.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// Nothing, or a single value.
    Plain(Liquid),
    List(Vec<Tree>),
    Fields(Fields),
}

/// An object, in its order.
#[derive(Debug, Clone)]
pub(super) struct Fields(pub(super) Vec<(KString, Tree)>);

impl Tree {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Plain(Liquid::Nil),
            Value::Bool(value) => Self::Plain(Liquid::scalar(*value)),
            Value::Number(number) => Self::Plain(match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), _, _) => Liquid::scalar(whole),
                (None, None, Some(broken)) => Liquid::scalar(broken),
                _ => Liquid::scalar(number.to_string()),
            }),
            Value::String(text) => Self::Plain(Liquid::scalar(text.clone())),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(fields) => Self::Fields(Fields(
                fields.iter().map(|(name, value)| (KString::from_ref(name), Self::of(value))).collect(),
            )),
        }
    }

    /// As it stands in a text.
    pub(super) fn text(&self) -> String {
        self.render().to_string()
    }

    fn view(&self) -> &dyn ValueView {
        match self {
            Self::Plain(value) => value,
            Self::List(items) => items,
            Self::Fields(fields) => fields,
        }
    }
}

impl ValueView for Tree {
    fn as_debug(&self) -> &dyn Debug {
        self.view().as_debug()
    }

    fn render(&self) -> DisplayCow<'_> {
        self.view().render()
    }

    fn source(&self) -> DisplayCow<'_> {
        self.view().source()
    }

    fn type_name(&self) -> &'static str {
        self.view().type_name()
    }

    fn query_state(&self, state: State) -> bool {
        self.view().query_state(state)
    }

    fn to_kstr(&self) -> KStringCow<'_> {
        self.view().to_kstr()
    }

    fn to_value(&self) -> Liquid {
        self.view().to_value()
    }

    fn as_scalar(&self) -> Option<ScalarCow<'_>> {
        self.view().as_scalar()
    }

    fn as_array(&self) -> Option<&dyn ArrayView> {
        self.view().as_array()
    }

    fn as_object(&self) -> Option<&dyn ObjectView> {
        self.view().as_object()
    }

    fn as_state(&self) -> Option<State> {
        self.view().as_state()
    }

    fn is_nil(&self) -> bool {
        self.view().is_nil()
    }
}

impl ValueView for Fields {
    fn as_debug(&self) -> &dyn Debug {
        self
    }

    fn render(&self) -> DisplayCow<'_> {
        DisplayCow::Owned(Box::new(ObjectRender::new(self)))
    }

    fn source(&self) -> DisplayCow<'_> {
        DisplayCow::Owned(Box::new(ObjectSource::new(self)))
    }

    fn type_name(&self) -> &'static str {
        "object"
    }

    fn query_state(&self, state: State) -> bool {
        match state {
            State::Truthy => true,
            State::DefaultValue | State::Empty | State::Blank => self.0.is_empty(),
        }
    }

    fn to_kstr(&self) -> KStringCow<'_> {
        KStringCow::from_string(self.render().to_string())
    }

    fn to_value(&self) -> Liquid {
        Liquid::Object(self.0.iter().map(|(name, value)| (name.clone(), value.to_value())).collect())
    }

    fn as_object(&self) -> Option<&dyn ObjectView> {
        Some(self)
    }
}

impl ObjectView for Fields {
    fn as_value(&self) -> &dyn ValueView {
        self
    }

    fn size(&self) -> i64 {
        i64::try_from(self.0.len()).unwrap_or(i64::MAX)
    }

    fn keys<'k>(&'k self) -> Box<dyn Iterator<Item = KStringCow<'k>> + 'k> {
        Box::new(self.0.iter().map(|(name, _)| KStringCow::from_ref(name)))
    }

    fn values<'k>(&'k self) -> Box<dyn Iterator<Item = &'k dyn ValueView> + 'k> {
        Box::new(self.0.iter().map(|(_, value)| value.view()))
    }

    fn iter<'k>(&'k self) -> Box<dyn Iterator<Item = (KStringCow<'k>, &'k dyn ValueView)> + 'k> {
        Box::new(self.0.iter().map(|(name, value)| (KStringCow::from_ref(name), value.view())))
    }

    fn contains_key(&self, index: &str) -> bool {
        self.get(index).is_some()
    }

    fn get<'s>(&'s self, index: &str) -> Option<&'s dyn ValueView> {
        self.0.iter().find(|(name, _)| *name == index).map(|(_, value)| value.view())
    }
}
