//! What all tables share; each kind's own tests have its names and limits.

use super::{Overrides, Rule, Setting, SettingError, SettingType, Table, elements};

static SETTINGS: Table = Table {
    of: "thing",
    rows: &[
        Setting {
            name: "a.ms",
            default_name: None,
            default: Some("5"),
            rule: Rule::Int(0, 9),
            doc: "A time.",
        },
        Setting { name: "b", default_name: None, default: Some("x"), rule: Rule::Text(only_x), doc: "An x." },
        Setting {
            name: "c",
            default_name: None,
            default: Some("true"),
            rule: Rule::Boolean,
            doc: "Whether.",
        },
    ],
};

fn only_x(name: &'static str, value: &str) -> Result<(), String> {
    if value == "x" { Ok(()) } else { Err(format!("{name} is x, not {value}")) }
}

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn elements_are_what_stands_between_commas() {
    assert!(elements("  ").is_empty());
    assert_eq!(elements(" a , b"), ["a", "b"]);
    assert_eq!(elements("a,,b,"), ["a", "", "b", ""]);
}

#[test]
fn a_table_says_whose_setting_it_does_not_know() {
    let unknown = SettingError::UnknownName { of: "thing", name: "d".to_owned() };
    assert_eq!(unknown.to_string(), "Unknown thing config name: d");
    assert_eq!(SETTINGS.known("d").map(|setting| setting.name), Err(unknown.clone()));
    assert_eq!(SETTINGS.known("b").map(|setting| setting.name), Ok("b"));
    assert_eq!(SETTINGS.check_names(&overrides(&[("a.ms", "1"), ("d", "1")])), Err(unknown));
    assert_eq!(SETTINGS.check_names(&overrides(&[("a.ms", "1"), ("c", "1")])), Ok(()));
}

#[test]
fn values_are_what_is_set_and_the_defaults_besides() {
    let values = SETTINGS.values(&overrides(&[("a.ms", " 7 "), ("unknown", "1")])).expect("legal");
    assert_eq!((values.int("a.ms"), values.long("a.ms"), values.millis("a.ms").as_millis()), (7, 7, 7));
    assert_eq!((values.text("b"), values.is_true("c")), ("x", true));
    let bad = SETTINGS.values(&overrides(&[("a.ms", "10")])).expect_err("too large");
    assert_eq!(bad.to_string(), "Invalid value 10 for configuration a.ms: Value must be no more than 9");
}

#[test]
fn text_is_taken_as_its_rule_says() {
    let setting = SETTINGS.known("b").expect("in the table");
    assert_eq!(setting.setting_type(), SettingType::String);
    assert_eq!(setting.check(" x "), Ok("x".to_owned()));
    let refused = setting.check("y").expect_err("no x").to_string();
    assert_eq!(refused, "Invalid value y for configuration b: b is x, not y");
}
