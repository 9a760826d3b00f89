//! As much of Rhai as it takes to find where a script ends early: its words, strings, comments and brackets. (The
//! language's book, "Return Value", "Functions" and "Anonymous Functions".)

/// A place in the script's text where something has to be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptPosition {
    /// The word `return`, of the script itself and not of a function in it.
    Return(usize),
    /// The end of what such a `return` gives back.
    EndOfReturn(usize),
}

/// A script, read once.
#[derive(Debug, Default)]
pub(super) struct Script<'a> {
    returns: Vec<ScriptPosition>,
    /// Words that are followed by an opening parenthesis and are no methods.
    called: Vec<&'a str>,
    open_comments: usize,
}

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// A number, a string or a character.
    Value,
    /// `||`: an "or", or no parameters.
    TwoStrokes,
    Sign(char),
}

/// What a bracket encloses.
#[derive(Debug, Default)]
struct Level {
    /// The body of a function: its `return` is its own.
    is_function: bool,
    /// The rest, up to the next separator, is the body of an anonymous function.
    in_closure: bool,
    /// How many `return` go on here.
    open_returns: usize,
}

/// Words after which a value is still to come.
const NOT_VALUES: [&str; 8] = ["return", "in", "else", "if", "while", "until", "throw", "let"];

impl<'a> Script<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut lexer = Lexer { text, at: 0, open_comments: 0 };
        let mut script = Self::default();
        let mut levels = vec![Level::default()];
        let (mut before, mut awaits_body) = (None, false);
        while let Some((start, token)) = lexer.next_token() {
            let in_function = levels.iter().any(|level| level.is_function || level.in_closure);
            let level = levels.last_mut().expect("the script itself is never closed");
            match token {
                Token::Word("fn") => awaits_body = true,
                Token::Word("return") if before != Some(Token::Sign('.')) => {
                    if !in_function {
                        level.open_returns += 1;
                        script.returns.push(ScriptPosition::Return(start));
                    }
                }
                Token::Word(word) => {
                    let is_method = matches!(before, Some(Token::Sign('.') | Token::Word("fn")));
                    if !is_method && lexer.peek_sign() == Some('(') {
                        script.called.push(word);
                    }
                }
                Token::Sign('|') | Token::TwoStrokes if !ends_value(before) => {
                    if token == Token::Sign('|') {
                        lexer.skip_parameters();
                    }
                    match lexer.peek_sign() {
                        Some('{') => awaits_body = true,
                        _ => level.in_closure = true,
                    }
                }
                Token::Sign('{') => {
                    levels.push(Level { is_function: std::mem::take(&mut awaits_body), ..Level::default() });
                }
                Token::Sign('(' | '[') => levels.push(Level::default()),
                Token::Sign(')' | ']' | '}') => {
                    script.end_returns(level, start);
                    if levels.len() > 1 {
                        levels.pop();
                    }
                }
                Token::Sign(';' | ',') => {
                    script.end_returns(level, start);
                    level.in_closure = false;
                }
                Token::Value | Token::TwoStrokes | Token::Sign(_) => {}
            }
            before = Some(token);
        }
        for level in levels.iter_mut().rev() {
            script.end_returns(level, text.len());
        }
        script.open_comments = lexer.open_comments;
        script
    }

    fn end_returns(&mut self, level: &mut Level, at: usize) {
        for _ in 0..std::mem::take(&mut level.open_returns) {
            self.returns.push(ScriptPosition::EndOfReturn(at));
        }
    }

    /// The places, in the order of the text.
    pub(super) fn returns(&self) -> &[ScriptPosition] {
        &self.returns
    }

    /// Whether a function of this name is called.
    pub(super) fn calls(&self, name: &str) -> bool {
        self.called.contains(&name)
    }

    /// Comments that would go on behind the script's end.
    pub(super) fn open_comments(&self) -> usize {
        self.open_comments
    }
}

/// Whether a `|` after this token joins two values, so that it begins no anonymous function.
fn ends_value(before: Option<Token<'_>>) -> bool {
    match before {
        Some(Token::Word(word)) => !NOT_VALUES.contains(&word),
        Some(Token::Value | Token::Sign(')' | ']' | '}')) => true,
        Some(Token::TwoStrokes | Token::Sign(_)) | None => false,
    }
}

#[derive(Debug, Clone)]
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    open_comments: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next token and where it begins.
    fn next_token(&mut self) -> Option<(usize, Token<'a>)> {
        self.skip_blanks();
        let start = self.at;
        let first = self.rest().chars().next()?;
        let hashes = self.rest().bytes().take_while(|byte| *byte == b'#').count();
        let token = match first {
            '"' | '\'' => self.skip_quoted(first),
            '`' => self.skip_template(),
            '#' if self.rest()[hashes..].starts_with('"') => self.skip_raw(hashes),
            _ if is_word(first) => {
                let word = self.rest().split(|c| !is_word(c)).next().unwrap_or_default();
                self.at += word.len();
                if first.is_ascii_digit() { Token::Value } else { Token::Word(word) }
            }
            '|' if self.rest().starts_with("||") => {
                self.at += 2;
                Token::TwoStrokes
            }
            sign => {
                self.at += sign.len_utf8();
                Token::Sign(sign)
            }
        };
        Some((start, token))
    }

    fn peek_sign(&self) -> Option<char> {
        let mut ahead = self.clone();
        ahead.skip_blanks();
        ahead.rest().chars().next()
    }

    /// Goes behind the second stroke of an anonymous function's parameters.
    fn skip_parameters(&mut self) {
        self.at += self.rest().find('|').map_or(self.rest().len(), |at| at + 1);
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            self.at += blanks;
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_comment();
            } else {
                return;
            }
        }
    }

    /// Comments may lie in each other.
    fn skip_comment(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                self.skip_character();
            }
            if depth == 0 {
                return;
            }
        }
        self.open_comments = depth;
    }

    fn skip_character(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn skip_quoted(&mut self, quote: char) -> Token<'a> {
        self.skip_character();
        while let Some(next) = self.rest().chars().next() {
            self.skip_character();
            match next {
                '\\' => self.skip_character(),
                next if next == quote => break,
                _ => {}
            }
        }
        Token::Value
    }

    /// Between `${` and `}` there is code.
    fn skip_template(&mut self) -> Token<'a> {
        self.skip_character();
        while let Some(next) = self.rest().chars().next() {
            if self.rest().starts_with("${") {
                self.at += 2;
                let mut depth = 1;
                while depth > 0 {
                    match self.next_token() {
                        Some((_, Token::Sign('{'))) => depth += 1,
                        Some((_, Token::Sign('}'))) => depth -= 1,
                        Some(_) => {}
                        None => return Token::Value,
                    }
                }
                continue;
            }
            self.skip_character();
            match next {
                '`' => break,
                '\\' => self.skip_character(),
                _ => {}
            }
        }
        Token::Value
    }

    /// `#"…"#`, with as many signs behind as before.
    fn skip_raw(&mut self, hashes: usize) -> Token<'a> {
        let end = format!("\"{}", "#".repeat(hashes));
        self.at += hashes + 1;
        self.at += self.rest().find(&end).map_or(self.rest().len(), |at| at + end.len());
        Token::Value
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
