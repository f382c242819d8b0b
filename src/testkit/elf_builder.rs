//! Writes small ELF shared objects for tests: sections, symbols, a build-id, and a dynamic segment that describes
//! the same symbols without any section. Knows the ELF-64 format; refuses to know the reader it is made to test.

/// Link-time address of the first byte of a built file. Not zero, so that addresses and file offsets differ.
pub const LINK_BASE: u64 = 0x1_0000;

const HEADER_SIZE: usize = 64;
const SEGMENT_SIZE: usize = 56;

/// A symbol of an [`ElfBuilder`] file.
#[derive(Clone, Debug)]
pub struct SymbolSpec {
    name: String,
    value: u64,
    size: u64,
    info: u8,
    visibility: u8,
    section: u16,
}

/// How the dynamic segment tells the number of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashStyle {
    /// `DT_HASH`.
    SysV,
    /// `DT_GNU_HASH`.
    Gnu,
    /// Neither: the strings follow the symbols.
    Absent,
}

/// Describes one ELF file.
#[derive(Clone, Debug)]
pub struct ElfBuilder {
    sections: Vec<(String, Vec<u8>, u64)>,
    symbols: Vec<SymbolSpec>,
    dynamic_symbols: Vec<SymbolSpec>,
    build_id: Option<Vec<u8>>,
    section_table: bool,
    hash_style: HashStyle,
}

impl SymbolSpec {
    /// A global function with a default visibility.
    pub fn function(name: &str, value: u64, size: u64) -> Self {
        Self { name: name.to_owned(), value, size, info: 0x12, visibility: 0, section: 1 }
    }

    /// A global variable with a default visibility.
    pub fn object(name: &str, value: u64, size: u64) -> Self {
        Self { info: 0x11, ..Self::function(name, value, size) }
    }

    /// A global thread-local variable; `value` is its offset in the TLS block.
    pub fn thread_local(name: &str, value: u64, size: u64) -> Self {
        Self { info: 0x16, ..Self::function(name, value, size) }
    }

    /// The same symbol without a type.
    pub fn untyped(self) -> Self {
        Self { info: self.info & 0xf0, ..self }
    }

    /// The same symbol with local binding.
    pub fn local(self) -> Self {
        Self { info: self.info & 0x0f, ..self }
    }

    /// The same symbol with hidden visibility.
    pub fn hidden(self) -> Self {
        Self { visibility: 2, ..self }
    }

    /// The same symbol, defined elsewhere.
    pub fn undefined(self) -> Self {
        Self { section: 0, ..self }
    }

    /// The same symbol, with a value that is not an address.
    pub fn absolute(self) -> Self {
        Self { section: 0xfff1, ..self }
    }
}

impl Default for ElfBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ElfBuilder {
    /// A file with nothing in it.
    pub fn new() -> Self {
        Self {
            sections: Vec::new(),
            symbols: Vec::new(),
            dynamic_symbols: Vec::new(),
            build_id: None,
            section_table: true,
            hash_style: HashStyle::Gnu,
        }
    }

    /// Adds a section.
    pub fn section(mut self, name: &str, bytes: &[u8]) -> Self {
        self.sections.push((name.to_owned(), bytes.to_vec(), 0));
        self
    }

    /// Adds a section that is marked as compressed.
    pub fn compressed_section(mut self, name: &str, bytes: &[u8]) -> Self {
        self.sections.push((name.to_owned(), bytes.to_vec(), 0x800));
        self
    }

    /// Adds symbols to `.symtab`.
    pub fn symbols(mut self, symbols: impl IntoIterator<Item = SymbolSpec>) -> Self {
        self.symbols.extend(symbols);
        self
    }

    /// Adds symbols to the dynamic symbol table.
    pub fn dynamic_symbols(mut self, symbols: impl IntoIterator<Item = SymbolSpec>) -> Self {
        self.dynamic_symbols.extend(symbols);
        self
    }

    /// Gives the file a build-id note.
    pub fn build_id(mut self, id: &[u8]) -> Self {
        self.build_id = Some(id.to_vec());
        self
    }

    /// Leaves out the section table; only segments describe the file.
    pub fn without_section_table(mut self) -> Self {
        self.section_table = false;
        self
    }

    /// Chooses the hash table of the dynamic segment.
    pub fn hash_style(mut self, style: HashStyle) -> Self {
        self.hash_style = style;
        self
    }

    /// The bytes of the file.
    pub fn build(self) -> Vec<u8> {
        let mut file = vec![0; HEADER_SIZE + 3 * SEGMENT_SIZE];
        let mut table = SectionTable::default();
        let mut segments = Vec::new();
        if let Some(id) = &self.build_id {
            let at = append(&mut file, &build_id_note(id));
            segments.push((4u32, at.0, at.1));
            table.add(".note.gnu.build-id", 7, 0, at, 0);
        }
        if !self.dynamic_symbols.is_empty() {
            let at = self.append_dynamic(&mut file, &mut table);
            segments.push((2, at.0, at.1));
        }
        if !self.symbols.is_empty() {
            let (symbols, strings) = symbol_table(&self.symbols);
            let symbols = append(&mut file, &symbols);
            let strings = append(&mut file, &strings);
            table.add(".symtab", 2, 0, symbols, table.next_index() + 1);
            table.add(".strtab", 3, 0, strings, 0);
        }
        for (name, bytes, flags) in &self.sections {
            let at = append(&mut file, bytes);
            table.add(name, 1, *flags, at, 0);
        }
        segments.push((1, 0, file.len()));
        if self.section_table {
            table.finish(&mut file);
        }
        write_headers(&mut file, &segments);
        file
    }

    /// Appends the dynamic symbol table, its strings, a hash table and last the dynamic segment, whose place it
    /// returns.
    fn append_dynamic(&self, file: &mut Vec<u8>, table: &mut SectionTable) -> (usize, usize) {
        let (symbols, strings) = symbol_table(&self.dynamic_symbols);
        let count = symbols.len() / 24;
        let symbols = append(file, &symbols);
        let strings = append(file, &strings);
        table.add(".dynsym", 11, 2, symbols, table.next_index() + 1);
        table.add(".dynstr", 3, 2, strings, 0);
        let address = |offset: usize| LINK_BASE + offset as u64;
        let mut tags = vec![(6u64, address(symbols.0)), (5, address(strings.0)), (10, strings.1 as u64)];
        match self.hash_style {
            HashStyle::SysV => tags.push((4, address(append(file, &sysv_hash(count)).0))),
            HashStyle::Gnu => tags.push((0x6fff_fef5, address(append(file, &gnu_hash(count)).0))),
            HashStyle::Absent => {}
        }
        tags.push((0, 0));
        let bytes: Vec<u8> =
            tags.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect();
        append(file, &bytes)
    }
}

/// Headers of the sections written so far.
#[derive(Default)]
struct SectionTable {
    names: Vec<u8>,
    headers: Vec<[u64; 6]>,
}

impl SectionTable {
    /// The number that the next added section gets; number 0 is the null section.
    fn next_index(&self) -> u64 {
        self.headers.len() as u64 + 1
    }

    fn add(&mut self, name: &str, kind: u64, flags: u64, (offset, size): (usize, usize), link: u64) {
        self.names.push(0);
        self.headers.push([self.names.len() as u64, kind, flags, offset as u64, size as u64, link]);
        self.names.extend(name.as_bytes());
    }

    fn finish(mut self, file: &mut Vec<u8>) {
        self.add(".shstrtab", 3, 0, (0, 0), 0);
        self.names.push(0);
        let (offset, size) = append(file, &self.names);
        if let Some(last) = self.headers.last_mut() {
            (last[3], last[4]) = (offset as u64, size as u64);
        }
        let mut bytes = vec![0; 64];
        for [name, kind, flags, offset, size, link] in &self.headers {
            bytes.extend([name.to_le_bytes()[..4].to_vec(), kind.to_le_bytes()[..4].to_vec()].concat());
            bytes.extend([*flags, 0, *offset, *size].iter().flat_map(|n| n.to_le_bytes()));
            // 64 bits for sh_link also cover sh_info, which is 0.
            bytes.extend([*link, 1, 0].iter().flat_map(|n| n.to_le_bytes()));
        }
        let (at, _) = append(file, &bytes);
        file[40..48].copy_from_slice(&(at as u64).to_le_bytes());
        file[60..62].copy_from_slice(&(self.headers.len() as u16 + 1).to_le_bytes());
        file[62..64].copy_from_slice(&(self.headers.len() as u16).to_le_bytes());
    }
}

/// Appends bytes at the next multiple of eight; returns their offset and size.
fn append(file: &mut Vec<u8>, bytes: &[u8]) -> (usize, usize) {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = file.len();
    file.extend(bytes);
    (at, bytes.len())
}

fn write_headers(file: &mut [u8], segments: &[(u32, usize, usize)]) {
    file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    file[16..20].copy_from_slice(&[3, 0, 62, 0]);
    file[20] = 1;
    file[32..40].copy_from_slice(&(HEADER_SIZE as u64).to_le_bytes());
    file[52..54].copy_from_slice(&(HEADER_SIZE as u16).to_le_bytes());
    file[54..56].copy_from_slice(&(SEGMENT_SIZE as u16).to_le_bytes());
    file[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
    file[58..60].copy_from_slice(&64u16.to_le_bytes());
    for (slot, (kind, offset, size)) in file[HEADER_SIZE..].chunks_exact_mut(SEGMENT_SIZE).zip(segments) {
        let address = LINK_BASE + *offset as u64;
        slot[..4].copy_from_slice(&kind.to_le_bytes());
        let numbers = [*offset as u64, address, address, *size as u64, *size as u64, 8];
        for (field, number) in slot[8..].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
    }
}

fn build_id_note(id: &[u8]) -> Vec<u8> {
    let mut note = [4u32, id.len() as u32, 3].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    note.extend(b"GNU\0");
    note.extend(id);
    note
}

fn symbol_table(symbols: &[SymbolSpec]) -> (Vec<u8>, Vec<u8>) {
    let mut entries = vec![0; 24];
    let mut strings = vec![0];
    for symbol in symbols {
        entries.extend((strings.len() as u32).to_le_bytes());
        entries.extend([symbol.info, symbol.visibility]);
        entries.extend(symbol.section.to_le_bytes());
        entries.extend([symbol.value.to_le_bytes(), symbol.size.to_le_bytes()].concat());
        strings.extend(symbol.name.as_bytes());
        strings.push(0);
    }
    (entries, strings)
}

fn sysv_hash(count: usize) -> Vec<u8> {
    let mut table = vec![1u32, count as u32];
    table.resize(3 + count, 0);
    table.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// One bucket with one chain over all symbols after the null symbol.
fn gnu_hash(count: usize) -> Vec<u8> {
    let mut table = vec![1u32, 1, 1, 0, 0, 0, 1];
    table.extend((1..count).map(|i| if i + 1 == count { 1 } else { 2 }));
    table.iter().flat_map(|n| n.to_le_bytes()).collect()
}
