//! The merge of layout sources: each question goes to the sources in order of trust, and every question with its
//! answer is kept. Knows trust and disagreement; refuses to know which questions are asked.
//!
//! A type may be spelled in several ways, `new_name|old_name`: each source is asked for them from left to right
//! before the next source is.

use rustc_hash::FxHashMap;

use super::error::ADVICE;
use super::table::{Table, TableModule};
use super::{Field, LayoutError, LayoutSource, Origin};

/// A question that was asked, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The type: the spelling that was answered, or all spellings if none was.
    pub ty: String,
    /// The field; `None` for a question about the type's size.
    pub path: Option<String>,
    /// The answer; for a size, offset 0 and that size. `None` if no source knows.
    pub field: Option<Field>,
    /// How the answer became known. `None` if it is not.
    pub origin: Option<Origin>,
}

/// Layout sources, most trusted first.
pub struct Resolver<'s> {
    sources: Vec<&'s dyn LayoutSource>,
    resolved: Vec<Resolution>,
    /// Position in `resolved` by type as asked for, then by path (empty for the size).
    known: FxHashMap<String, FxHashMap<String, usize>>,
    conflict: Option<LayoutError>,
    disagreement: Option<(String, String)>,
}

/// An answer with the source that gave it.
struct Answer<'s, 't> {
    source: &'s dyn LayoutSource,
    ty: &'t str,
    field: Field,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("sources", &self.describe_sources())
            .field("resolved", &self.resolved.len())
            .finish_non_exhaustive()
    }
}

impl<'s> Resolver<'s> {
    /// A resolver that asks `sources` in that order.
    pub fn new(sources: Vec<&'s dyn LayoutSource>) -> Self {
        Self {
            sources,
            resolved: Vec::new(),
            known: FxHashMap::default(),
            conflict: None,
            disagreement: None,
        }
    }

    /// Size of a struct in bytes, if any source knows it.
    pub fn size_of(&mut self, ty: &str) -> Option<u32> {
        self.resolve(ty, None).map(|field| field.size)
    }

    /// Size of a struct in bytes.
    ///
    /// # Errors
    /// [`LayoutError::MissingStruct`] if no source knows it.
    pub fn required_size(&mut self, ty: &str) -> Result<u32, LayoutError> {
        self.size_of(ty).ok_or_else(|| LayoutError::MissingStruct {
            ty: ty.to_owned(),
            sources: self.describe_sources(),
            advice: ADVICE,
        })
    }

    /// The place of a field, if any source knows it.
    pub fn optional(&mut self, ty: &str, path: &str) -> Option<Field> {
        self.resolve(ty, Some(path))
    }

    /// The place of a field.
    ///
    /// # Errors
    /// [`LayoutError::MissingField`] if no source knows it.
    pub fn required(&mut self, ty: &str, path: &str) -> Result<Field, LayoutError> {
        self.optional(ty, path).ok_or_else(|| LayoutError::MissingField {
            ty: ty.to_owned(),
            path: path.to_owned(),
            sources: self.describe_sources(),
            advice: ADVICE,
        })
    }

    /// The first of several paths that is known, with its number: for fields that were renamed or moved.
    pub fn one_of(&mut self, ty: &str, paths: &[&str]) -> Option<(usize, Field)> {
        paths.iter().enumerate().find_map(|(number, path)| Some((number, self.optional(ty, path)?)))
    }

    /// Every question asked so far with its answer, each once, in the order of asking.
    pub fn resolved(&self) -> &[Resolution] {
        &self.resolved
    }

    /// The first disagreement between two exact sources on anything asked so far; see [`Origin::is_exact`].
    pub fn conflict(&self) -> Option<LayoutError> {
        self.conflict.clone()
    }

    /// Type and path of the first question asked so far to which two sources of any kind have different answers.
    pub fn disagreement(&self) -> Option<(&str, &str)> {
        self.disagreement.as_ref().map(|(ty, path)| (ty.as_str(), path.as_str()))
    }

    /// The answers as a table; see [`Table::from_answers`].
    pub fn to_table(&self, header: Vec<(String, String)>, modules: Vec<TableModule>) -> Table {
        Table::from_answers(&self.resolved, header, modules)
    }

    fn resolve(&mut self, ty: &str, path: Option<&str>) -> Option<Field> {
        let key = path.unwrap_or_default();
        if let Some(position) = self.known.get(ty).and_then(|paths| paths.get(key)) {
            return self.resolved.get(*position).and_then(|resolution| resolution.field);
        }
        let answers: Vec<Answer<'s, '_>> =
            self.sources.iter().filter_map(|source| ask(*source, ty, path)).collect();
        self.note_conflict(&answers, path);
        let first = answers.first();
        let resolution = Resolution {
            ty: first.map_or(ty, |answer| answer.ty).to_owned(),
            path: path.map(str::to_owned),
            field: first.map(|answer| with_size(answer.field, &answers)),
            origin: first.map(|answer| answer.source.origin()),
        };
        let field = resolution.field;
        self.known.entry(ty.to_owned()).or_default().insert(key.to_owned(), self.resolved.len());
        self.resolved.push(resolution);
        field
    }

    fn note_conflict(&mut self, answers: &[Answer<'_, '_>], path: Option<&str>) {
        if let Some((first, rest)) = answers.split_first()
            && self.disagreement.is_none()
            && rest.iter().any(|other| !agree(first.field, other.field))
        {
            self.disagreement = Some((first.ty.to_owned(), path.unwrap_or("(size)").to_owned()));
        }
        if self.conflict.is_some() {
            return;
        }
        let mut exact = answers.iter().filter(|answer| answer.source.origin().is_exact());
        let Some(first) = exact.next() else { return };
        let Some(second) = exact.find(|answer| !agree(first.field, answer.field)) else { return };
        self.conflict = Some(LayoutError::Conflict {
            ty: first.ty.to_owned(),
            path: path.unwrap_or("(size)").to_owned(),
            first: first.source.describe(),
            first_field: first.field,
            second: second.source.describe(),
            second_field: second.field,
        });
    }

    fn describe_sources(&self) -> String {
        if self.sources.is_empty() {
            return "no source at all".to_owned();
        }
        self.sources.iter().map(|source| source.describe()).collect::<Vec<_>>().join(", ")
    }
}

fn ask<'s, 't>(source: &'s dyn LayoutSource, ty: &'t str, path: Option<&str>) -> Option<Answer<'s, 't>> {
    ty.split('|').find_map(|ty| {
        let field = match path {
            Some(path) => source.field(ty, path)?,
            None => Field::bytes(0, source.size_of(ty)?),
        };
        Some(Answer { source, ty, field })
    })
}

/// A field of which the first source knows the offset only, with what another source knows besides.
fn with_size(field: Field, answers: &[Answer<'_, '_>]) -> Field {
    let fuller = |answer: &&Answer<'_, '_>| answer.field.size != 0 && answer.field.offset == field.offset;
    match field.size {
        0 => answers.iter().find(fuller).map_or(field, |answer| answer.field),
        _ => field,
    }
}

/// Size 0 means that a source knows the offset only.
fn agree(a: Field, b: Field) -> bool {
    a.offset == b.offset && a.bits == b.bits && (a.size == b.size || a.size == 0 || b.size == 0)
}
