//! What is promised of YAML: the values that kubectl sees, lines, and a way back.

use serde_json::json;

use super::{Content, Node, emit, parse, plain};

fn one(text: &str) -> Node {
    let (mut documents, error) = parse(text);
    assert_eq!(error, None, "{text}");
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    for (text, value) in [
        ("08:00", json!("08:00")),
        ("2026-12-25", json!("2026-12-25")),
        ("'25'", json!("25")),
        ("\"no\"", json!("no")),
        ("no", json!(false)),
        ("Yes", json!(true)),
        ("~", json!(null)),
        ("25", json!(25)),
        ("-7", json!(-7)),
        ("+7", json!(7)),
        ("1_000", json!(1000)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("017", json!(15)),
        ("0b11", json!(3)),
        ("08", json!(8)),
        ("1e3", json!(1000)),
        ("2.5", json!(2.5)),
        (".5", json!(0.5)),
        ("--5", json!("--5")),
        ("0x-1", json!("0x-1")),
        ("1.2.3", json!("1.2.3")),
        ("-", json!("-")),
        ("50Mi", json!("50Mi")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("!!str 25", json!("25")),
        ("!!int \"25\"", json!(25)),
        ("infinity", json!("infinity")),
        ("<<", json!("<<")),
    ] {
        // Null is a document that is empty, and `-` a list, so each stands under a name.
        let text = if text == "-" { "'-'" } else { text };
        assert_eq!(plain(&one(&format!("a: {text}")))["a"], value, "{text}");
    }
}

#[test]
fn every_value_knows_its_line_through_documents_comments_and_flow() {
    let (documents, error) = parse("# head\na: 1\n---\n---\n# more\nb:\n- c\n- {d: e,\n   f: g}\n---\n");
    assert_eq!(error, None);
    let lines = |node: &Node| node.field("b").map(|field| (field.line, field.value.line));
    assert_eq!(documents.len(), 2);
    assert_eq!((documents[0].line, documents[1].line, lines(&documents[1])), (2, 6, Some((6, 7))));
    let Content::List(entries) = &documents[1].field("b").unwrap().value.content else { panic!("no list") };
    assert_eq!(entries[1].field("f").unwrap().line, 9);
}

#[test]
fn anchors_and_merges_stand_for_what_they_name() {
    let node = one("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a]\nd: {<<: [*a, {z: 4}]}\n");
    assert_eq!(
        plain(&node),
        json!({
            "a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}, "c": [{"x": 1, "y": 2}], "d": {"x": 1, "y": 2, "z": 4}
        })
    );
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    for (text, line, problem) in [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, ""),
        ("a: 1\n\tb: 2\n", 1, "tab"),
        ("a: *nowhere\n", 1, "unknown anchor"),
        ("a: &a [*a]\n", 1, "inside of what it stands for"),
        ("? [a]\n: b\n", 1, "cannot be a name"),
        ("a: !secret b\n", 1, "the tag !secret is not known here"),
        ("a: !!int b\n", 1, "\"b\" is no !!int"),
        ("a: {<<: b}\n", 1, "merges maps"),
    ] {
        let error = parse(text).1.unwrap_or_else(|| panic!("{text:?} was taken for YAML"));
        assert_eq!(error.line, line, "{text:?}: {error:?}");
        assert!(error.problem.contains(problem), "{text:?}: {error:?}");
    }
}

#[test]
fn aliases_that_multiply_do_not_fill_the_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let alias = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    assert!(parse(&text).1.unwrap().problem.contains("more than 100000 values"));
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let value = json!({
        "text": "with: colon", "plain": "only words, and (more)", "no": "no", "number": "25", "empty": "", "lines": "a\nb\n",
        "quote": "say \"it\" \\ now", "list": [1, [2, []], {"a": {"b": {}}, "c": [true, null]}], "path.with/all": -2.5,
        "#": "# none", "unicode": "µ…", "space ": " x ",
    });
    assert_eq!(plain(&one(&emit(&value))), value, "{}", emit(&value));
}
