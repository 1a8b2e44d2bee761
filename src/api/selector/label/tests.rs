use proptest::prelude::*;

use super::*;

fn selector(text: &str) -> LabelSelector {
    LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(CompactString, CompactString)> {
    let mut labels: Vec<_> =
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    labels.sort();
    labels
}

#[test]
fn has_one_canonical_text_per_selection() {
    for (text, canonical) in [
        ("", ""),
        (" \t\r\n", ""),
        ("a", "a"),
        ("!a", "!a"),
        ("! a", "!a"),
        ("a=1", "a=1"),
        ("a == 1", "a=1"),
        ("a in (1)", "a=1"),
        ("a in ( 2 , 1,2 )", "a in (1,2)"),
        ("a notin (1)", "a!=1"),
        ("a!=", "a!="),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("a in ()", "a="),
        ("a in (,)", "a="),
        ("a in (x,)", "a in (,x)"),
        ("a in (,x)", "a in (,x)"),
        ("a in (x,,y)", "a in (,x,y)"),
        ("b=1,a=1,b=1", "a=1,b=1"),
        ("a>007", "a>7"),
        ("a < 5", "a<5"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin notin(in)", "notin!=in"),
        ("a=in", "a=in"),
        ("example.com/a_b.C-d=x", "example.com/a_b.C-d=x"),
        ("a\n=\t1", "a=1"),
        ("!in", "!in"),
    ] {
        assert_eq!(selector(text).to_string(), canonical, "{text:?}");
        assert_eq!(selector(canonical), selector(text), "{text:?}");
    }
}

#[test]
fn refuses_what_the_api_server_refuses() {
    let long = "a".repeat(64);
    let long_value = format!("a={long}");
    let long_prefix = format!("{}/a", ["a".repeat(60).as_str(); 5].join("."));
    for text in [
        "a,",
        ",a",
        "a,,b",
        ",",
        "!",
        "!!a",
        "!a=b",
        "!a in (b)",
        "a b",
        "a gt 1",
        "a exists",
        "a=(b)",
        "a=b c",
        "a=!b",
        "a==!",
        "a===b",
        "a=<",
        "a in b",
        "a in (b",
        "a in (b c)",
        "a in",
        "a in (b))",
        "a in ((b))",
        "a in (b=c)",
        "a in (!)",
        "a notin (",
        "(a)",
        "=a",
        "a)",
        "a>",
        "a>b",
        "a>9223372036854775808",
        "a>-1",
        "a>+1",
        "a>(1)",
        "-a",
        "a-",
        "a/b/c",
        "/a",
        "a/",
        "A/b",
        "a_b/c",
        "a../b",
        "é",
        "a=é",
        "a=-",
        "a=b/c",
        "a\0",
        "a=\0",
        &long,
        &long_value,
        &long_prefix,
    ] {
        assert!(LabelSelector::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn matches_as_the_api_server_does() {
    let object = labels(&[("a", "1"), ("b", ""), ("n", "12"), ("t", "x"), ("z", "-3")]);
    for (text, expected) in [
        ("", true),
        ("a", true),
        ("c", false),
        ("!a", false),
        ("!c", true),
        ("a=1", true),
        ("a=2", false),
        ("b=", true),
        ("c=", false),
        ("c!=1", true),
        ("a!=1", false),
        ("a!=2", true),
        ("a in (1,2)", true),
        ("a in (0,2)", false),
        ("a notin (0,2)", true),
        ("a notin (1,2)", false),
        ("c notin (1,2)", true),
        ("n>11", true),
        ("n>12", false),
        ("n<13", true),
        ("n<12", false),
        ("z<1", true),
        ("t>1", false),
        ("t<1", false),
        ("b>1", false),
        ("c>1", false),
        ("c<1", false),
        ("a=1,b=,n>3,!c", true),
        ("a=1,a=2", false),
    ] {
        assert_eq!(selector(text).matches(&object), expected, "{text:?}");
    }
}

#[test]
fn names_its_equality_terms() {
    let selector = selector("b in (2),a=1,c in (1,2),d!=1,e,f>1");
    assert_eq!(selector.equality_terms().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert!(!selector.is_everything());
    assert_eq!(selector.requirements()[0].key(), "a");
    assert_eq!(selector.requirements()[4].condition(), &Condition::Exists);
}

fn any_requirement() -> impl Strategy<Value = String> {
    let key = "(example[.]com/)?[a-d]";
    let value = "[0-2x]?";
    let values = prop::collection::vec(value, 0..4);
    prop_oneof![
        key.prop_map(|key| key),
        key.prop_map(|key| format!("! {key}")),
        (key, "==?|!=", value).prop_map(|(key, op, value)| format!("{key} {op} {value}")),
        (key, "in|notin", values)
            .prop_map(|(key, op, values)| format!("{key} {op} ( {} )", values.join(" , "))),
        (key, "[<>]", 0..3).prop_map(|(key, op, bound)| format!("{key}{op}0{bound}")),
    ]
}

fn any_labels() -> impl Strategy<Value = Vec<(CompactString, CompactString)>> {
    prop::collection::btree_map("(example[.]com/)?[a-d]", "[0-2x]?", 0..6).prop_map(|pairs| {
        pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    })
}

proptest! {
    #[test]
    fn the_canonical_text_means_the_same(
        requirements in prop::collection::vec(any_requirement(), 0..5),
        rotation in 0..5usize,
        object in any_labels(),
    ) {
        let selector = selector(&requirements.join(","));
        let canonical = LabelSelector::parse(&selector.to_string()).unwrap();
        prop_assert_eq!(&canonical, &selector);
        prop_assert_eq!(canonical.to_string(), selector.to_string());

        let mut rotated = requirements;
        let by = rotation % rotated.len().max(1);
        rotated.rotate_left(by);
        prop_assert_eq!(LabelSelector::parse(&rotated.join(",")).unwrap(), canonical);

        let each = rotated.iter().all(|one| LabelSelector::parse(one).unwrap().matches(&object));
        prop_assert_eq!(selector.matches(&object), each);
    }

    #[test]
    fn never_panics(text in ".*", near in "[ab=!(),<> inot]*") {
        let _ = LabelSelector::parse(&text);
        if let Ok(selector) = LabelSelector::parse(&near) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
