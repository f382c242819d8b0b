//! Layouts as data: what a resolver found out, kept for a process whose files have no debug information.
//!
//! Knows how a table answers, and how one describes several builds that differ in a few fields; refuses to know the text
//! format, and which table suits which process.

use super::{Field, LayoutSource, Origin, Resolution};

/// A layout table: header lines, modules with symbols, and structs with fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Header lines other than `format`, as key and value.
    pub header: Vec<(String, String)>,
    /// The modules the table was made from.
    pub modules: Vec<TableModule>,
    /// The structs, in the order they were added.
    pub structs: Vec<TableStruct>,
    /// Facts that are no layouts, one a line, in words of whoever printed the table.
    pub facts: Vec<String>,
    /// Builds that differ from the structs above, each with what differs.
    pub variants: Vec<TableVariant>,
}

/// Builds of neighbouring releases that share their layouts, described by what differs from the rest of a [`Table`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableVariant {
    /// The first release with these layouts, as the table spells it.
    pub first: String,
    /// The last one.
    pub last: String,
    /// Structs with another size, fields at other places, and fields that are not there.
    pub structs: Vec<TableStruct>,
}

/// A module of a [`Table`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableModule {
    /// The file name, without folders.
    pub name: String,
    /// The build-id of the file, if it had one.
    pub build_id: Option<Vec<u8>>,
    /// Symbols that a stripped file would not show.
    pub symbols: Vec<TableSymbol>,
}

/// A symbol of a [`TableModule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSymbol {
    /// The symbol's name.
    pub name: String,
    /// Link-time address.
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
}

/// A struct of a [`Table`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStruct {
    /// The type's name.
    pub name: String,
    /// Size in bytes, if it was asked for.
    pub size: Option<u32>,
    /// Paths and places of fields.
    pub fields: Vec<(String, Field)>,
    /// In a variant: paths that the table knows and these builds do not have.
    pub absent: Vec<String>,
}

impl Table {
    /// Answers of layout sources as a table that can stand in for them later: the fields of every struct in the order
    /// of asking, with the header lines and modules given.
    pub fn from_answers<'a>(
        answers: impl IntoIterator<Item = &'a Resolution>,
        header: Vec<(String, String)>,
        modules: Vec<TableModule>,
    ) -> Self {
        let mut table = Self { header, modules, ..Self::default() };
        for answer in answers {
            let Some(field) = answer.field else { continue };
            let entry = table.struct_entry(&answer.ty);
            match &answer.path {
                None => entry.size = Some(field.size),
                Some(path) => entry.add_field(path, field),
            }
        }
        table
    }

    /// The value of the first header line with that key.
    pub fn header_value(&self, key: &str) -> Option<&str> {
        self.header.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The module whose file name is `name`.
    pub fn module(&self, name: &str) -> Option<&TableModule> {
        self.modules.iter().find(|module| module.name == name)
    }

    /// Link-time address and size of a symbol of a module.
    pub fn symbol(&self, module: &str, name: &str) -> Option<(u64, u64)> {
        let symbol = self.module(module)?.symbols.iter().find(|symbol| symbol.name == name)?;
        Some((symbol.address, symbol.size))
    }

    /// The struct of that name.
    pub fn structure(&self, name: &str) -> Option<&TableStruct> {
        self.structs.iter().find(|structure| structure.name == name)
    }

    /// The table of the builds of one variant, by its number; the table itself, without variants, if there is none.
    #[must_use]
    pub fn variant(&self, number: usize) -> Self {
        let mut table = Self { variants: Vec::new(), ..self.clone() };
        for changed in self.variants.get(number).map_or(&[][..], |variant| &variant.structs) {
            table.struct_entry(&changed.name).change(changed);
        }
        table
    }

    /// The struct of that name, added if it is not there yet.
    fn struct_entry(&mut self, name: &str) -> &mut TableStruct {
        let known = self.structs.iter().position(|structure| structure.name == name);
        let position = known.unwrap_or(self.structs.len());
        if known.is_none() {
            self.structs.push(TableStruct { name: name.to_owned(), ..TableStruct::default() });
        }
        &mut self.structs[position]
    }
}

impl TableStruct {
    /// The place of a field.
    pub fn field(&self, path: &str) -> Option<Field> {
        self.fields.iter().find(|(known, _)| known == path).map(|(_, field)| *field)
    }

    /// Takes over what a variant says of this struct.
    fn change(&mut self, changed: &Self) {
        self.size = changed.size.or(self.size);
        self.fields.retain(|(path, _)| !changed.absent.contains(path));
        for (path, field) in &changed.fields {
            match self.fields.iter_mut().find(|(known, _)| known == path) {
                Some((_, place)) => *place = *field,
                None => self.fields.push((path.clone(), *field)),
            }
        }
    }

    /// Adds a field unless one with that path is there.
    fn add_field(&mut self, path: &str, field: Field) {
        if self.field(path).is_none() {
            self.fields.push((path.to_owned(), field));
        }
    }
}

impl LayoutSource for Table {
    fn origin(&self) -> Origin {
        Origin::Table
    }

    fn describe(&self) -> String {
        if let Some(name) = self.header_value("name") {
            return name.to_owned();
        }
        match self.header_value("producer") {
            Some(producer) => format!("layout table ({producer})"),
            None => "layout table".to_owned(),
        }
    }

    fn size_of(&self, ty: &str) -> Option<u32> {
        self.structure(ty)?.size
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.structure(ty)?.field(path)
    }
}
