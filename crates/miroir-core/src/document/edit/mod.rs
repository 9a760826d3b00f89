//! Functions by which clients change documents, in a form that keeps a document's marker (see [`super::marker`]).
//!
//! Meilisearch runs such a function (a Rhai script) once per document, which is the variable `doc`; what `doc` is in the
//! end becomes the document. A client's function must not see Miroir's field, and may put a document without it in the
//! place of `doc`. So a line before the client's code takes the field away, and a line after it brings it back, also
//! where the code returns early. The client's code stays where it was in its lines, so that errors can name the right
//! place: only the number of the line is one too high.

mod script;

use self::script::{Script, ScriptPosition};
use super::marker::RESERVED_PREFIX;

/// Calls that end a function where no line of Miroir's can follow.
const NOT_FOLLOWED: [&str; 2] = ["exit", "eval"];

/// Why a function can't be run over several nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedFunction {
    /// It calls one of Rhai's functions that end it in a way that can't be followed.
    #[error("A function that edits documents can't call `{0}` here: its end would go unnoticed.")]
    Call(&'static str),
}

/// Refuses what [`keep_marker`] can't do justice to.
pub fn check_function(function: &str) -> Result<(), UnsupportedFunction> {
    let script = Script::read(function);
    match NOT_FOLLOWED.into_iter().find(|name| script.calls(name)) {
        Some(name) => Err(UnsupportedFunction::Call(name)),
        None => Ok(()),
    }
}

/// The function that nodes run for a client's.
pub fn keep_marker(function: &str) -> String {
    let script = Script::read(function);
    let (before, after) = (before(), after());
    let mut kept = before;
    let mut at = 0;
    for place in script.returns() {
        let (upto, text, skipped) = match place {
            // As long as the word that it stands for, so that what follows keeps its column.
            ScriptPosition::Return(at) => (*at, "{     ".to_owned(), "return".len()),
            ScriptPosition::EndOfReturn(at) => (*at, format!("; {after} return }}"), 0),
        };
        kept.push_str(&function[at..upto]);
        kept.push_str(&text);
        at = upto + skipped;
    }
    kept.push_str(&function[at..]);
    kept.push_str(&"*/".repeat(script.open_comments()));
    kept.push_str("\n;");
    kept.push_str(&after);
    kept
}

/// A node's message about such a function, with the line that it has in the client's code.
pub fn message_without_marker(message: &str) -> String {
    const LINE: &str = "(line ";
    let mut pieces = message.split(LINE);
    let mut moved = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let line = piece[..digits].parse::<u64>().map(|line| line.saturating_sub(1).max(1).to_string());
        moved.push_str(LINE);
        moved.push_str(&line.unwrap_or_default());
        moved.push_str(&piece[digits..]);
    }
    moved
}

/// Takes the marker away.
fn before() -> String {
    format!(
        "let _miroir_marker = (); for _miroir_field in doc.keys() {{ \
         if _miroir_field.starts_with(\"{RESERVED_PREFIX}\") {{ _miroir_marker = _miroir_field; }} }} \
         if _miroir_marker != () {{ doc.remove(_miroir_marker); }}\n"
    )
}

/// Brings it back to what is still a document.
fn after() -> String {
    format!(
        "if type_of(doc) == \"map\" {{ for _miroir_field in doc.keys() {{ \
         if _miroir_field.starts_with(\"{RESERVED_PREFIX}\") {{ \
         throw \"the document has a field whose name is reserved for the cluster's own use\"; }} }} \
         if _miroir_marker != () {{ doc[_miroir_marker] = (); }} }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of the client's part.
    fn kept(function: &str) -> String {
        let kept = keep_marker(function);
        let middle = kept.strip_prefix(&before()).and_then(|kept| kept.strip_suffix(&after())).unwrap();
        middle.replace(&after(), "KEEP").strip_suffix("\n;").unwrap().to_owned()
    }

    #[test]
    fn a_function_without_an_early_end_stays_as_it_is() {
        for function in [
            "doc.stock += 1000",
            "fn double(x) { return x * 2; } doc.price = double(doc.price);",
            "let f = |x| { return x; }; doc.a = f.call(1)",
            "let f = || return 1; doc.a = \"return\"; // return",
            "doc.a = `return ${doc.b} return`; /* return */ doc.return_of = 'r'",
            "doc.a = #\"a \"return\" b\"#",
        ] {
            assert_eq!(kept(function), function);
        }
    }

    #[test]
    fn before_an_early_end_the_marker_is_brought_back() {
        assert_eq!(
            kept("if doc.a > 1 { return; } doc.b = 2"),
            "if doc.a > 1 { {     ; KEEP return }; } doc.b = 2"
        );
        assert_eq!(
            kept("return doc = #{ a: 1, b: [2, 3] }"),
            "{      doc = #{ a: 1, b: [2, 3] }; KEEP return }"
        );
        assert_eq!(kept("if a | b { return }"), "if a | b { {      ; KEEP return }}");
        assert_eq!(
            kept("switch doc.a { 1 => return, _ => doc.b = |x| { return x } }"),
            "switch doc.a { 1 => {     ; KEEP return }, _ => doc.b = |x| { return x } }"
        );
    }

    #[test]
    fn a_comment_that_is_not_closed_does_not_swallow_what_follows() {
        assert_eq!(kept("doc.a = 1 /* and /* so on"), "doc.a = 1 /* and /* so on*/*/");
    }

    #[test]
    fn ends_that_can_not_be_followed_are_refused() {
        assert_eq!(check_function("if doc.a { exit() }"), Err(UnsupportedFunction::Call("exit")));
        assert_eq!(check_function("eval(doc.code)"), Err(UnsupportedFunction::Call("eval")));
        assert_eq!(check_function("doc.exit = 1; doc.s = \"exit()\""), Ok(()));
    }

    #[test]
    fn errors_name_the_line_of_the_clients_code() {
        let message = "Function not found: * ((), i64) (line 2, position 26)\nin call to function 'f' (line 13, position 1)";
        let expected = "Function not found: * ((), i64) (line 1, position 26)\nin call to function 'f' (line 12, position 1)";
        assert_eq!(message_without_marker(message), expected);
        assert_eq!(message_without_marker("no place at all"), "no place at all");
    }
}
