//! The parser against expressions as people type them.

use super::*;
use proptest::prelude::*;

fn path(root: &str, steps: Vec<Step>) -> Expression {
    Expression { root: Root::Name(root.to_owned()), steps }
}

fn attribute(name: &str) -> Step {
    Step::Attribute(name.to_owned())
}

fn text_key(text: &str) -> Step {
    Step::Item(ItemKey::Str(text.to_owned()))
}

/// The column and problem of a text that must not parse.
fn problem(text: &str) -> (usize, String) {
    match parse(text) {
        Err(QueryError::Syntax { column, problem, .. }) => (column, problem),
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn paths_of_attributes_and_items() {
    assert_eq!(
        parse(" app.cache.SESSIONS[\"k\"][0].owner "),
        Ok(path(
            "app",
            vec![
                attribute("cache"),
                attribute("SESSIONS"),
                text_key("k"),
                Step::Item(ItemKey::Int(0)),
                attribute("owner")
            ]
        ))
    );
    assert_eq!(parse("f.<locals>.C"), Ok(path("f", vec![attribute("<locals>"), attribute("C")])));
    assert_eq!(
        parse("0x7f3A[-1].x"),
        Ok(Expression {
            root: Root::Address(0x7f3a),
            steps: vec![Step::Item(ItemKey::Int(-1)), attribute("x")]
        })
    );
}

#[test]
fn patterns_are_whole_names() {
    let pattern = |text: &str| Ok(Expression { root: Root::Pattern(text.to_owned()), steps: vec![] });
    assert_eq!(parse("app.*.Entry?"), pattern("app.*.Entry?"));
    assert_eq!(parse("*"), pattern("*"));
    assert_eq!(problem("app.*[0]").0, 1);
    assert_eq!(problem("app[0].x*").0, 1);
}

#[test]
fn keys_are_literals() {
    let key = |text: &str| match parse(&format!("d[{text}]")).map(|expression| expression.steps) {
        Ok(steps) => match steps.as_slice() {
            [Step::Item(key)] => key.clone(),
            other => panic!("{other:?}"),
        },
        Err(error) => panic!("{error}"),
    };
    assert_eq!(key(r#" 'it\'s \x41\u00e9\101\n' "#), ItemKey::Str("it's AéA\n".to_owned()));
    assert_eq!(key(r#"b"\x00\xff'""#), ItemKey::Bytes(b"\x00\xff'".to_vec()));
    assert_eq!(key("-1_000"), ItemKey::Int(-1000));
    assert_eq!(key("-0x10"), ItemKey::Int(-16));
    assert_eq!(key("1e+16"), ItemKey::Float(1e16));
    assert_eq!(key("-.5"), ItemKey::Float(-0.5));
    assert_eq!(key("None"), ItemKey::None);
    assert_eq!(key("(1)"), ItemKey::Int(1));
    assert_eq!(key("(1,)"), ItemKey::Tuple(vec![ItemKey::Int(1)]));
    assert_eq!(
        key("( True, ('a', ()) )"),
        ItemKey::Tuple(vec![
            ItemKey::Bool(true),
            ItemKey::Tuple(vec![ItemKey::Str("a".to_owned()), ItemKey::Tuple(vec![])])
        ])
    );
}

#[test]
fn mistakes_are_told_with_their_column() {
    for (text, column, part) in [
        ("", 1, "expected a name"),
        ("app.", 5, "expected a name"),
        ("app..x", 5, "found `.`"),
        ("7f3a", 1, "begin with 0x"),
        ("0x", 3, "hexadecimal"),
        ("0x11112222333344445", 20, "hexadecimal"),
        ("app x", 5, "cannot follow"),
        ("app[", 5, "expected a key"),
        ("app[k]", 5, "write 'k'"),
        ("app[price-changed].x", 5, "write 'price-changed'"),
        ("app['k", 7, "closing quote"),
        ("app['k'", 8, "`]`"),
        ("app['\\q']", 7, "escape"),
        ("app['\\ud800']", 6, "no character"),
        ("app[b'é']", 7, "ASCII"),
        ("app[1 2]", 7, "`]`"),
        ("app[(1 2)]", 8, "in the tuple"),
        ("app[1e999]", 5, "finite"),
        ("app[999999999999999999999999999999999999999999]", 5, "127 bits"),
        ("a.<locals.b", 10, "<locals>"),
    ] {
        let (found, problem) = problem(text);
        assert_eq!(found, column, "{text}: {problem}");
        assert!(problem.contains(part), "{text}: {problem}");
    }
    let deep = format!("a[{}", "(".repeat(100_000));
    assert!(problem(&deep).1.contains("nested"));
}

#[test]
fn an_error_repeats_no_control_characters() {
    let error = parse("app\u{1b}[31m").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

fn key() -> impl Strategy<Value = ItemKey> {
    let leaf = prop_oneof![
        any::<String>().prop_map(ItemKey::Str),
        any::<Vec<u8>>().prop_map(ItemKey::Bytes),
        any::<i128>().prop_map(ItemKey::Int),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(ItemKey::Float),
        any::<bool>().prop_map(ItemKey::Bool),
        Just(ItemKey::None),
    ];
    leaf.prop_recursive(4, 12, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(ItemKey::Tuple))
}

fn expression() -> impl Strategy<Value = Expression> {
    let name = || prop_oneof![9 => "[a-zA-Z_é][a-zA-Z0-9_]{0,6}", 1 => "<[a-z]{1,6}>"];
    let step = prop_oneof![name().prop_map(Step::Attribute), key().prop_map(Step::Item)];
    let root = prop_oneof![any::<u64>().prop_map(Root::Address), name().prop_map(Root::Name)];
    let path = (root, prop::collection::vec(step, 0..6)).prop_map(|(root, steps)| Expression { root, steps });
    let pattern = "[a-z*]{0,4}[*?](\\.[a-z*?]{1,4}){0,2}"
        .prop_map(|text| Expression { root: Root::Pattern(text), steps: Vec::new() });
    prop_oneof![5 => path, 1 => pattern]
}

proptest! {
    #[test]
    fn printed_expressions_parse_to_themselves(expression in expression()) {
        prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
    }

    #[test]
    fn any_text_parses_or_is_refused_within_its_length(text in any::<String>()) {
        match parse(&text) {
            Ok(expression) => prop_assert_eq!(parse(&expression.to_string()), Ok(expression)),
            Err(QueryError::Syntax { column, .. }) => prop_assert!(column <= text.chars().count() + 1),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn texts_near_the_grammar_parse_or_are_refused(text in r#"[ab.\[\]()'"\\x0-9eb,*<> _-]{0,24}"#) {
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
        }
    }
}
