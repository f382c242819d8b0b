//! The grammar, by recursive descent.
//!
//! ```text
//! query    := address step* | name ( '.' name | item )* | pattern
//! step     := '.' name | item
//! item     := '[' key ']'
//! key      := str | bytes | int | float | True | False | None | '(' ( key ',' )* key? ')'
//! address  := 0x hexadecimal digits
//! name     := letters, digits and _, or what Python writes in qualified names: <locals>, <lambda>
//! pattern  := a dotted name with * or ? in it
//! ```
//!
//! Knows text only; refuses to know whether anything of that name exists.

use super::error::QueryError;
use super::expression::{Expression, Root, Step};
use crate::cpython::ItemKey;

/// Tuples inside each other: bounds recursion.
const MAX_NESTING: usize = 32;

/// Reads a query.
///
/// # Errors
/// [`QueryError::Syntax`] with the column where it stops making sense.
pub fn parse(text: &str) -> Result<Expression, QueryError> {
    let mut parser = Parser { text, chars: text.chars().collect(), at: 0 };
    parser.skip_spaces();
    let expression = parser.expression()?;
    parser.skip_spaces();
    match parser.peek() {
        None => Ok(expression),
        Some(character) => parser.fail(format!(
            "`{}` cannot follow; expected `.name`, `[key]` or the end",
            character.escape_debug()
        )),
    }
}

/// The text and a position in it.
struct Parser<'t> {
    text: &'t str,
    chars: Vec<char>,
    at: usize,
}

type Parsed<T> = Result<T, QueryError>;

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn take_text(&mut self, wanted: &str) -> bool {
        let found = wanted.chars().enumerate().all(|(index, c)| self.chars.get(self.at + index) == Some(&c));
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(character) = self.peek().filter(|&character| accepts(character)) {
            taken.push(character);
            self.at += 1;
        }
        taken
    }

    fn skip_spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Parsed<T> {
        Err(QueryError::Syntax {
            text: self.text.escape_debug().to_string(),
            column: self.at.saturating_add(1),
            problem: problem.into(),
        })
    }

    fn expression(&mut self) -> Parsed<Expression> {
        if self.take_text("0x") || self.take_text("0X") {
            let root = self.address()?;
            return Ok(Expression { root, steps: self.steps()? });
        }
        let start = self.at;
        let first = self.name()?;
        let expression = Expression { root: Root::Name(first), steps: self.steps()? };
        let is_pattern = |name: &&str| name.contains(['*', '?']);
        let dotted = expression.dotted();
        if !dotted.iter().any(is_pattern) {
            let later = expression
                .steps
                .iter()
                .find(|step| matches!(step, Step::Attribute(name) if is_pattern(&name.as_str())));
            return if later.is_none() { Ok(expression) } else { self.no_pattern(start) };
        }
        if dotted.len() <= expression.steps.len() {
            return self.no_pattern(start);
        }
        Ok(Expression { root: Root::Pattern(dotted.join(".")), steps: Vec::new() })
    }

    fn no_pattern<T>(&mut self, start: usize) -> Parsed<T> {
        self.at = start;
        self.fail("`*` and `?` stand in names of types only, where no `[key]` can follow")
    }

    fn address(&mut self) -> Parsed<Root> {
        let digits = self.take_while(|c| c.is_ascii_hexdigit());
        match u64::from_str_radix(&digits, 16) {
            Ok(address) => Ok(Root::Address(address)),
            Err(_) => self.fail("expected an address of 1 to 16 hexadecimal digits after 0x"),
        }
    }

    fn steps(&mut self) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.take('.') {
                steps.push(Step::Attribute(self.name()?));
            } else if self.take('[') {
                self.skip_spaces();
                let key = self.key(0)?;
                self.skip_spaces();
                if !self.take(']') {
                    return self.fail("expected `]` after the key");
                }
                steps.push(Step::Item(key));
            } else {
                return Ok(steps);
            }
        }
    }

    fn name(&mut self) -> Parsed<String> {
        if self.take('<') {
            let inner = self.take_while(|c| c.is_alphanumeric() || c == '_');
            if inner.is_empty() || !self.take('>') {
                return self.fail("expected a name such as <locals> or <lambda>");
            }
            return Ok(format!("<{inner}>"));
        }
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.fail("a name cannot begin with a digit; addresses begin with 0x");
        }
        let name = self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '*' | '?'));
        match (name.is_empty(), self.peek()) {
            (false, _) => Ok(name),
            (true, None) => self.fail("expected a name: a module, builtin, type or attribute"),
            (true, Some(found)) => self.fail(format!("expected a name, found `{}`", found.escape_debug())),
        }
    }

    fn key(&mut self, depth: usize) -> Parsed<ItemKey> {
        match self.peek() {
            Some('\'' | '"') => self.string().map(ItemKey::Str),
            Some('b') if matches!(self.chars.get(self.at + 1), Some('\'' | '"')) => {
                self.bytes().map(ItemKey::Bytes)
            }
            Some('(') => self.tuple(depth),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '.') => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.constant(),
            Some(c) => self.fail(format!(
                "expected a key, found `{}`; keys are literals such as 'name' or 3",
                c.escape_debug()
            )),
            None => self.fail("expected a key, such as 'name' or 3"),
        }
    }

    fn constant(&mut self) -> Parsed<ItemKey> {
        let start = self.at;
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        match word.as_str() {
            "True" => Ok(ItemKey::Bool(true)),
            "False" => Ok(ItemKey::Bool(false)),
            "None" => Ok(ItemKey::None),
            _ => {
                let rest = self.take_while(|c| !matches!(c, ']' | '\'' | '"' | '\\'));
                self.at = start;
                self.fail(format!(
                    "a key is a literal: write '{}' for the text",
                    format!("{word}{rest}").escape_debug()
                ))
            }
        }
    }

    fn tuple(&mut self, depth: usize) -> Parsed<ItemKey> {
        if depth >= MAX_NESTING {
            return self.fail(format!("tuples nested more than {MAX_NESTING} deep"));
        }
        self.take('(');
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.skip_spaces();
            if self.take(')') {
                break;
            }
            if !comma {
                return self.fail("expected `,` or `)` in the tuple");
            }
            items.push(self.key(depth + 1)?);
            self.skip_spaces();
            comma = self.take(',');
        }
        // As in Python, (1) is 1 and (1,) a tuple.
        match (items.len(), comma) {
            (1, false) => items.pop().map_or_else(|| self.fail("expected a key"), Ok),
            _ => Ok(ItemKey::Tuple(items)),
        }
    }

    fn number(&mut self) -> Parsed<ItemKey> {
        let start = self.at;
        let negative = self.take('-');
        let hexadecimal = self.take_text("0x") || self.take_text("0X");
        let accepts = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        let mut digits = self.take_while(accepts);
        if !hexadecimal && digits.ends_with(['e', 'E']) && matches!(self.peek(), Some('+' | '-')) {
            digits.extend(self.next());
            digits.push_str(&self.take_while(accepts));
        }
        let text = format!("{}{}", if negative { "-" } else { "" }, digits.replace('_', ""));
        let parsed = if hexadecimal {
            i128::from_str_radix(&text, 16).ok().map(ItemKey::Int)
        } else if digits.contains(['.', 'e', 'E']) {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(ItemKey::Float)
        } else {
            text.parse().ok().map(ItemKey::Int)
        };
        match parsed {
            Some(key) => Ok(key),
            None => {
                self.at = start;
                self.fail("expected an int of up to 127 bits or a finite float")
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let mut text = String::new();
        let quote = self.next();
        loop {
            let start = self.at;
            match self.next() {
                None => return self.fail("the text ends inside the key: its closing quote is missing"),
                end if end == quote => return Ok(text),
                Some('\\') => match self.escape(true)? {
                    None => {}
                    Some(code) => match char::from_u32(code) {
                        Some(character) => text.push(character),
                        None => {
                            self.at = start;
                            return self.fail("this escape is no character");
                        }
                    },
                },
                Some(character) => text.push(character),
            }
        }
    }

    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take('b');
        let quote = self.next();
        loop {
            let start = self.at;
            let code = match self.next() {
                None => return self.fail("the text ends inside the key: its closing quote is missing"),
                end if end == quote => return Ok(bytes),
                Some('\\') => self.escape(false)?,
                Some(character) => Some(u32::from(character)).filter(|&code| code < 0x80),
            };
            match code.map(u8::try_from) {
                Some(Ok(byte)) => bytes.push(byte),
                _ => {
                    self.at = start;
                    return self.fail("bytes hold ASCII characters and escapes up to \\xff only");
                }
            }
        }
    }

    /// What follows a backslash, as Python reads it; `None` for an escaped line end, which stands for nothing.
    fn escape(&mut self, text: bool) -> Parsed<Option<u32>> {
        let start = self.at;
        let code = match self.next() {
            Some('n') => 0x0a,
            Some('t') => 0x09,
            Some('r') => 0x0d,
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('v') => 0x0b,
            Some('\n') if text => return Ok(None),
            Some(c @ ('\\' | '\'' | '"')) => u32::from(c),
            Some('x') => self.hexadecimal(2)?,
            Some('u') if text => self.hexadecimal(4)?,
            Some('U') if text => self.hexadecimal(8)?,
            Some('0'..='7') => {
                self.at = start;
                self.octal()
            }
            _ => {
                self.at = start;
                return self.fail("unknown escape; write \\\\ for a backslash");
            }
        };
        Ok(Some(code))
    }

    fn hexadecimal(&mut self, count: usize) -> Parsed<u32> {
        let mut code = 0u32;
        for _ in 0..count {
            match self.peek().and_then(|c| c.to_digit(16)) {
                // At most eight digits: nothing is shifted out.
                Some(digit) => code = (code << 4) | digit,
                None => return self.fail(format!("expected {count} hexadecimal digits")),
            }
            self.at += 1;
        }
        Ok(code)
    }

    /// One to three octal digits.
    fn octal(&mut self) -> u32 {
        let mut code = 0;
        for _ in 0..3 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.at += 1;
        }
        code
    }
}

#[cfg(test)]
mod tests;
