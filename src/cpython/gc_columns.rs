//! The collector's lists as columns of a file: walking them again costs more than most questions.
//!
//! Knows what a list is made of; refuses to know who keeps the file.

use super::gc::{GcList, Generation};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use std::io::{self, Seek, Write};

/// Numbers of a list: interpreter, generation, objects, types, whether it is broken, and where.
type Shape = [u64; 6];

/// Writes lists.
///
/// # Errors
/// Of the output.
pub fn write_lists<W: Write + Seek>(lists: &[GcList], out: &mut ColumnWriter<W>) -> io::Result<()> {
    let mut types: Vec<Vec<Address>> =
        lists.iter().map(|list| list.types.iter().copied().collect()).collect();
    types.iter_mut().for_each(|types| types.sort_unstable());
    let shape = |list: &GcList| -> Shape {
        [
            list.interpreter as u64,
            list.generation as u64,
            list.objects.len() as u64,
            list.types.len() as u64,
            u64::from(list.broken_at.is_some()),
            list.broken_at.unwrap_or(0),
        ]
    };
    out.column("lists.shapes", &lists.iter().map(shape).collect::<Vec<Shape>>())?;
    out.column("lists.types", &types.concat())?;
    out.parts("lists.objects", lists.iter().map(|list| &*list.objects))
}

/// The lists that were written; the objects on them are not copied.
///
/// # Errors
/// A column is not there, damaged, or too short for what another one says.
pub fn read_lists(file: &ColumnFile) -> Result<Vec<GcList>, Damaged> {
    let short = || Damaged::because("its lists contradict each other");
    let (objects, types) = (file.column::<Address>("lists.objects")?, file.column::<Address>("lists.types")?);
    let (mut object, mut type_) = (0usize, 0usize);
    let read = |&[interpreter, generation, objects_on, types_on, is_broken, broken_at]: &Shape| {
        let objects_end = object.checked_add(usize::try_from(objects_on).ok()?)?;
        let types_end = type_.checked_add(usize::try_from(types_on).ok()?)?;
        let list = GcList {
            interpreter: usize::try_from(interpreter).ok()?,
            generation: Generation::from_u8(u8::try_from(generation).ok()?),
            objects: objects.part(object..objects_end)?,
            types: types.get(type_..types_end)?.iter().copied().collect(),
            broken_at: (is_broken != 0).then_some(broken_at),
        };
        (object, type_) = (objects_end, types_end);
        Some(list)
    };
    let shapes = file.column::<Shape>("lists.shapes")?;
    shapes.iter().map(read).collect::<Option<Vec<GcList>>>().ok_or_else(short)
}
