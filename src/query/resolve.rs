//! From an expression to an object or to types.
//!
//! Order of search: the longest prefix of the dotted name that is an imported module, then attributes; else a
//! builtin; else a type of that full name; else types whose names end in it. Interpreters are asked in turn, the main
//! one first. Refuses to know how attributes and items are found.

use super::error::QueryError;
use super::expression::{Expression, Root, Step};
use super::nearest::nearest;
use super::objects::{Item, Objects};
use crate::corefile::Address;
use crate::cpython::{ItemKey, Lookup, Runtime, TypeId, escape_text};

/// Names of types that a message lists at most.
const MAX_CANDIDATES: usize = 5;

/// What a query names. A class is both: the object and its type; the command decides which it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The query as it would be written again.
    pub text: String,
    /// The object; `None` only where several types are named and no path leads to one of them.
    pub object: Option<Address>,
    /// The types it names, the one of `object` first: several where classes share a full name (made anew by a
    /// function or a reload) or match a pattern; none where the object is no class.
    pub types: Vec<TypeId>,
}

impl Target {
    /// The object, for commands about one object.
    ///
    /// # Errors
    /// [`QueryError::NotOneObject`] where the query names several types.
    pub fn require_object(&self) -> Result<Address, QueryError> {
        self.object
            .ok_or_else(|| QueryError::NotOneObject { text: self.text.clone(), count: self.types.len() })
    }
}

/// Finds what an expression names.
///
/// # Errors
/// The step that failed, with the names nearest to the wrong one.
pub fn resolve(runtime: &Runtime<'_>, expression: &Expression) -> Result<Target, QueryError> {
    resolve_in(runtime, expression)
}

/// The program that was run.
const MAIN: &str = "__main__";

/// [`resolve`] in any world of objects.
pub(super) fn resolve_in(objects: &impl Objects, expression: &Expression) -> Result<Target, QueryError> {
    let resolution = Resolution { objects, expression };
    match &expression.root {
        Root::Address(address) => {
            if let Err(found) = objects.object_at(*address) {
                return Err(QueryError::NotAnObject { address: *address, found });
            }
            resolution.walk(*address, 0).map(|object| resolution.object_target(object))
        }
        Root::Pattern(pattern) => resolution.pattern(pattern),
        Root::Name(_) => resolution.name(),
    }
}

struct Resolution<'a, O> {
    objects: &'a O,
    expression: &'a Expression,
}

impl<O: Objects> Resolution<'_, O> {
    fn name(&self) -> Result<Target, QueryError> {
        let path_error = match self.path() {
            Ok(object) => return Ok(self.object_target(object)),
            Err(error) => error,
        };
        let dotted = self.expression.dotted();
        if dotted.len() <= self.expression.steps.len() {
            // Items follow the name, so it is no type's.
            return Err(path_error);
        }
        let name = dotted.join(".");
        let types = self.types_called(&name);
        if !types.is_empty() {
            return Ok(self.types_target(types));
        }
        match path_error {
            QueryError::Unknown { .. } => self.type_by_ending(&name),
            _ => Err(path_error),
        }
    }

    /// The object at the end of a path from a module or builtin.
    fn path(&self) -> Result<Address, QueryError> {
        let dotted = self.expression.dotted();
        let mut failure = None;
        for interpreter in 0..self.objects.interpreters() {
            let Some((start, done)) = self.start(interpreter, &dotted) else { continue };
            match self.walk(start, done) {
                Ok(object) => return Ok(object),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| self.unknown(&dotted.join("."))))
    }

    /// The module or builtin that the path begins with, and how many steps that took.
    fn start(&self, interpreter: usize, dotted: &[&str]) -> Option<(Address, usize)> {
        let module = (1..=dotted.len()).rev().find_map(|parts| {
            let name = dotted.get(..parts)?.join(".");
            Some((self.objects.module(interpreter, &name)?, parts - 1))
        });
        module.or_else(|| Some((self.objects.builtin(interpreter, dotted.first()?)?, 0)))
    }

    /// Takes the steps from `done` on.
    fn walk(&self, start: Address, done: usize) -> Result<Address, QueryError> {
        let mut object = start;
        let mut at = done;
        while let Some(step) = self.expression.steps.get(at) {
            if let (Step::Attribute(name), Some(Step::Item(ItemKey::Str(key)))) =
                (step, self.expression.steps.get(at.saturating_add(1)))
            {
                // The variables of a frame are in no dict until somebody asks for one.
                if let Some(local) = (name == "f_locals").then(|| self.objects.local(object, key)).flatten() {
                    object = local;
                    at += 2;
                    continue;
                }
            }
            object = match step {
                Step::Attribute(name) => self.attribute(object, name, at)?,
                Step::Item(key) => self.item(object, key, at)?,
            };
            at += 1;
        }
        Ok(object)
    }

    fn attribute(&self, object: Address, name: &str, at: usize) -> Result<Address, QueryError> {
        let holder = || self.expression.prefix(at);
        match self.objects.attribute(object, name) {
            Lookup::Found(found) => Ok(found),
            Lookup::Computed(by) => Err(QueryError::Computed {
                holder: holder(),
                name: name.to_owned(),
                kind: escape_text(&self.objects.type_name(by)),
                nearest: self.nearest_attributes(object, name, true),
            }),
            Lookup::Missing => Err(QueryError::NoAttribute {
                holder: holder(),
                name: name.to_owned(),
                nearest: self.nearest_attributes(object, name, false),
            }),
        }
    }

    /// Attributes with names like `name`; it is left out itself where it exists but does not help.
    fn nearest_attributes(&self, object: Address, name: &str, exists: bool) -> Vec<String> {
        let mut names = self.objects.attribute_names(object);
        // What every object has is no help, unless it was meant.
        names.retain(|candidate| {
            (!candidate.starts_with("__") || name.starts_with("__")) && !(exists && candidate == name)
        });
        escaped(nearest(name, names))
    }

    fn item(&self, object: Address, key: &ItemKey, at: usize) -> Result<Address, QueryError> {
        let holder = self.expression.prefix(at);
        let type_name = || escape_text(&self.objects.type_name(object));
        Err(match self.objects.item(object, key) {
            Item::Found(found) => return Ok(found),
            Item::NoKey => {
                let key = key.to_string();
                let nearest = nearest(&key, self.objects.key_labels(object));
                QueryError::NoKey { holder, key, nearest }
            }
            Item::OutOfRange(length) => QueryError::OutOfRange { holder, index: key.to_string(), length },
            Item::NotAPosition => {
                QueryError::NotAPosition { holder, type_name: type_name(), key: key.to_string() }
            }
            Item::NotAContainer => QueryError::NotAContainer {
                holder,
                type_name: type_name(),
                nearest: self.nearest_attributes(object, "", false),
            },
        })
    }

    /// An object, and if it is a class, all types of its full name.
    fn object_target(&self, object: Address) -> Target {
        let mut types = Vec::new();
        if let Some(own) = self.objects.as_type(object) {
            types.push(own);
            let all = self.objects.types();
            if let Some((_, name, _)) = all.iter().find(|&&(id, ..)| id == own) {
                types.extend(
                    all.iter().filter(|(id, other, _)| *id != own && other == name).map(|&(id, ..)| id),
                );
            }
        }
        Target { text: self.expression.to_string(), object: Some(object), types }
    }

    fn types_target(&self, types: Vec<(TypeId, String, Address)>) -> Target {
        let object = match types.as_slice() {
            [(_, _, address)] => Some(*address),
            _ => None,
        };
        let types = types.into_iter().map(|(id, ..)| id).collect();
        Target { text: self.expression.to_string(), object, types }
    }

    fn types_called(&self, name: &str) -> Vec<(TypeId, String, Address)> {
        let mut types = self.objects.types();
        types.retain(|(_, full, _)| full == name);
        types
    }

    /// Types whose full name ends in `.name`, if they all are called the same.
    fn type_by_ending(&self, name: &str) -> Result<Target, QueryError> {
        let ending = format!(".{name}");
        let mut types = self.objects.types();
        types.retain(|(_, full, _)| full.ends_with(&ending));
        let mut names: Vec<String> = types.iter().map(|(_, full, _)| full.clone()).collect();
        names.sort();
        names.dedup();
        match names.len() {
            0 => Err(self.unknown(name)),
            1 => Ok(self.types_target(types)),
            _ => {
                names.truncate(MAX_CANDIDATES);
                Err(QueryError::Ambiguous { name: name.to_owned(), candidates: escaped(names) })
            }
        }
    }

    fn pattern(&self, pattern: &str) -> Result<Target, QueryError> {
        let wanted: Vec<char> = pattern.chars().collect();
        let mut types = self.objects.types();
        types.retain(|(_, full, _)| matches(&wanted, full));
        if types.is_empty() {
            return Err(QueryError::NoMatch { pattern: pattern.to_owned() });
        }
        Ok(self.types_target(types))
    }

    /// The name in `__main__`, where a program's own file is and its names begin without a module.
    fn in_main(&self, name: &str) -> Option<String> {
        let first = name.split('.').next()?;
        let main = (0..self.objects.interpreters()).find_map(|at| self.objects.module(at, MAIN))?;
        matches!(self.objects.attribute(main, first), Lookup::Found(_)).then(|| format!("{MAIN}.{name}"))
    }

    fn unknown(&self, name: &str) -> QueryError {
        let types =
            self.objects.types().into_iter().map(|(_, full, _)| match full.strip_prefix("builtins.") {
                Some(short) => short.to_owned(),
                None => full,
            });
        let candidates: Vec<String> = self.objects.root_names().into_iter().chain(types).collect();
        if let Some(found) = self.in_main(name) {
            return QueryError::Unknown { name: name.to_owned(), nearest: escaped(vec![found]) };
        }
        let mut similar = nearest(name, candidates.iter().cloned());
        if let (true, Some((module, _))) = (similar.is_empty(), name.split_once('.')) {
            similar = nearest(module, candidates);
        }
        QueryError::Unknown { name: name.to_owned(), nearest: escaped(similar) }
    }
}

fn escaped(names: Vec<String>) -> Vec<String> {
    names.iter().map(|name| escape_text(name)).collect()
}

/// Whether a name matches a pattern of `*` and `?`. Takes time in proportion to the product of the lengths.
fn matches(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: the pattern after it, one character later.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&character) = name.get(from) {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                retry = Some((at, from));
            }
            Some(&wanted) if wanted == '?' || wanted == character => {
                at += 1;
                from += 1;
            }
            _ => match &mut retry {
                Some((after_star, start)) => {
                    *start += 1;
                    (at, from) = (*after_star, *start);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|&c| c == '*'))
}

#[cfg(test)]
mod tests;
