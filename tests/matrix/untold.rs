//! What a process without any file of its own cannot tell, by name and reason: all that may differ in the trials `absent`
//! (docs/without-debug-information.md).

/// Types made in C whose `tp_traverse` goes beyond the members of their structs, by what it does. Without code their
/// references are those that a scan of their memory can tell, marked as inferred, and coverage says so.
pub const BEYOND_MEMBERS: &[(&str, &str)] = &[
    ("PyCapsule", "calls the function that the capsule brings along"),
    ("_ctypes.PyCArrayType", "the struct behind the type object"),
    ("_ctypes.PyCFuncPtrType", "the struct behind the type object"),
    ("_ctypes.PyCPointerType", "the struct behind the type object"),
    ("_ctypes.PyCSimpleType", "the struct behind the type object"),
    ("_ctypes.PyCStructType", "the struct behind the type object"),
    ("_ctypes.UnionType", "the struct behind the type object"),
    ("_elementtree._element_iterator", "a stack of elements"),
    ("xml.etree.ElementTree.Element", "children in an array, attributes in a struct of their own"),
    ("_multibytecodec.MultibyteIncrementalDecoder", "error handlers with a name are small numbers"),
    ("_multibytecodec.MultibyteIncrementalEncoder", "error handlers with a name are small numbers"),
    ("_multibytecodec.MultibyteStreamReader", "error handlers with a name are small numbers"),
    ("_multibytecodec.MultibyteStreamWriter", "error handlers with a name are small numbers"),
    ("MultibyteStreamReader", "error handlers with a name are small numbers"),
    ("MultibyteStreamWriter", "error handlers with a name are small numbers"),
    ("_pickle.Pickler", "the memo is a table in a struct of its own"),
    ("_pickle.Unpickler", "the memo is an array"),
    ("_queue.SimpleQueue", "items in a ring"),
    ("_sre.SRE_Template", "items behind the object"),
    ("datetime.IsoCalendarDate", "items of the tuple that it is"),
    ("itertools._tee_dataobject", "an array with a count"),
    ("pyexpat.xmlparser", "an array of handlers with its end marked"),
    ("typing.ParamSpec", "3.13: which members are visited differs between patch releases"),
    ("typing.TypeAliasType", "3.13: which members are visited differs between patch releases"),
    ("typing.TypeVar", "3.13: which members are visited differs between patch releases"),
    ("typing.TypeVarTuple", "3.13: which members are visited differs between patch releases"),
    ("sqlite3.Cache", "a chain of nodes"),
    ("sqlite3.Connection", "callbacks in structs of their own"),
];

/// Modules whose `m_traverse` goes beyond the members of their state, by what it does.
pub const MODULES_BEYOND_MEMBERS: &[(&str, &str)] = &[
    ("_asyncio", "3.12: a chain of free iterators"),
    ("_curses_panel", "visits the type of the module too"),
    ("_decimal", "tables of signals"),
    ("_hmac", "a hash table of algorithms"),
    ("_zoneinfo", "a chain of zones"),
    ("atexit", "functions in the interpreter's state"),
    ("xxlimited", "of an extension that no fact tells of"),
];

/// Types of extension modules that are no part of a release's usual modules, as any extension's that was installed: no fact
/// tells how they are traversed, so without code their references are those that a scan can tell, marked as inferred.
pub const OF_EXTENSIONS: &[&str] = &[
    "_testcapi.HeapCTypeWithManagedDict",
    "_testcapi.HeapCTypeWithManagedWeakref",
    "_testcapi.HeapGcCType",
    "xxlimited.Xxo",
    "xxlimited_35.Xxo",
];

/// Of these, without files, only the object itself is measured: the size of an item stands in constant data of the program.
pub const UNMEASURED: &[&str] = &["array.array"];

/// Static types whose name stands in the constant data of a file that is not there, by why nothing else tells it: they are
/// shown by where they were found.
pub const UNNAMED: &[(&str, &str)] = &[
    ("functools._lru_list_elem", "no base's subclasses name it until something asks for an attribute"),
    (
        "builtins.async_generator_asend",
        "3.8 and 3.9: as the next, and which is made ready first is up to the program",
    ),
    ("builtins.async_generator_athrow", "3.8 and 3.9: as the one before"),
    ("_testcapi.ContainerNoGC", "of an extension module"),
    ("builtins.MethClass", "of an extension module, _testcapi"),
    ("builtins.MyList", "of an extension module, _testcapi"),
    ("xxsubtype.spamdict", "of an extension module"),
    ("xxsubtype.spamlist", "of an extension module"),
];

/// Whether only its code knows how an object whose type's first base made in C is `made_in_c` is traversed; `module` is the
/// name of a module object.
pub fn is_unfollowed(made_in_c: &str, module: &str) -> bool {
    match made_in_c {
        "module" => MODULES_BEYOND_MEMBERS.iter().any(|&(name, _)| name == module),
        _ => BEYOND_MEMBERS.iter().any(|&(name, _)| name == made_in_c) || OF_EXTENSIONS.contains(&made_in_c),
    }
}

/// Whether the type that Python calls `name` may be shown without it.
pub fn is_unnamed(name: &str) -> bool {
    UNNAMED.iter().any(|&(known, _)| known == name)
}

/// Whether objects of the type that Python calls `name` may be measured without their items.
pub fn is_unmeasured(name: &str) -> bool {
    UNMEASURED.contains(&name)
}
